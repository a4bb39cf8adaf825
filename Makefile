# Every target does its own set-up; `make demo` and `make test` are all a new clone needs.
SHELL = /bin/sh
MAKEFLAGS += --no-print-directory
VENV = .venv/bin
PY = $(VENV)/python
# One more than the two cores of a small machine: while a test waits for a provider's time-out, another works.
JOBS ?= 3
# Whole services fill two cores by themselves.
FEWER = $(if $(filter 1,$(JOBS)),1,2)

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo up test mutate lifecycle faults crash chaos chaos-cases chaos-drills chaos-outage chaos-soak chaos-short chaos-sabotage model fuzz slow-clients tls browser rabbitmq alerts audit sbom bench bench-growth bench-books bench-audit bench-sandbox lint format lock migrate ci clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

install: ## Make .venv from requirements-local.lock (nothing to do when it is up to date)
	@sh scripts/install.sh runtime

install-dev: ## The same, with what the tests need
	@sh scripts/install.sh dev

demo: install ## Run real payments through a local Stripe and a local Paystack
	@$(VENV)/tollgate demo

up: install ## Start the whole service and stay (Ctrl-C stops it)
	@$(VENV)/tollgate up

# What takes minutes, or needs more than Python: each has a target of its own.
APART = faults lifecycle model rabbitmq browser fuzz prometheus slow_clients tls

test: lint ## Run every check and the tests
	@$(PY) -m pytest -n $(JOBS) --dist loadfile tests $(patsubst %,--ignore=tests/%,$(APART))

mutate: install-dev ## Make each row of the money tables wrong in turn: a test has to notice
	@$(PY) scripts/mutate.py

lifecycle: install-dev ## Start, use and end whole installations; restore copies, rotate keys (four minutes)
	@$(PY) -m pytest -n $(FEWER) --dist loadfile tests/lifecycle

faults: install-dev ## Run the fault tests: killed workers, emptied and stopped Redis
	@$(PY) -m pytest -n $(FEWER) --dist loadfile tests/faults

# SEED=… chooses the order of faults; without it one is chosen and printed. ONLY=… keeps the rows that hold it.
CHAOS = $(PY) -m tests.chaos
CHAOS_OPTIONS = $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON)) $(if $(ONLY),--only $(ONLY)) $(if $(RECORD),--record $(RECORD))

crash: install-dev ## Kill a process at every crash point of every operation, in under ten minutes
	@$(CHAOS) crash $(CHAOS_OPTIONS)

chaos: install-dev ## The five parts of chaos in turn, under one seed (SEED=… replays one, JSON=… keeps the figures)
	@$(CHAOS) cases drills outage soak sabotage $(CHAOS_OPTIONS)

chaos-cases: install-dev ## Run the forty cases of lost and doubled payments, as a table
	@$(CHAOS) cases $(CHAOS_OPTIONS)

chaos-drills: install-dev ## Rotate the sealing keys under load and kill it; put an older database back
	@$(CHAOS) drills $(CHAOS_OPTIONS)

chaos-outage: install-dev ## Take the broker and the database away for minutes, under load
	@$(CHAOS) outage $(CHAOS_OPTIONS)

chaos-soak: install-dev ## Kill everything at random under steady load
	@$(CHAOS) soak $(CHAOS_OPTIONS)

chaos-short: install-dev ## Three minutes of the same
	@$(CHAOS) soak --short $(CHAOS_OPTIONS)

chaos-sabotage: install-dev ## Switch one safeguard off at a time: chaos has to notice
	@$(CHAOS) sabotage $(CHAOS_OPTIONS)

model: install-dev ## Anything in any order against the ledger (SEED=… replays one, EXAMPLES=…, STEPS=… ask for more)
	@MODEL_EXAMPLES=$(or $(EXAMPLES),100) MODEL_STEPS=$(or $(STEPS),30) \
		$(PY) -m pytest tests/model $(if $(SEED),--hypothesis-seed=$(SEED))

# SEED=… repeats a run; without it one is chosen and printed. SECONDS=… gives it more than 200.
fuzz: install-dev ## Ask every route of the document for what it allows and forbids: no 5xx, nothing undocumented
	@FUZZ_SEED=$(SEED) FUZZ_SECONDS=$(SECONDS) $(PY) -m pytest -s tests/fuzz

slow-clients: install-dev ## A thousand half-sent and many hostile requests against Debian's nginx and the API behind it
	@sh tests/support/debian.sh /usr/sbin/nginx nginx
	@$(PY) -m pytest -s tests/slow_clients

tls: install-dev ## Speak verify-full and rediss with Debian's Postgres and Redis: wrong names and authorities are refused
	@sh tests/support/debian.sh /usr/lib/postgresql/15/bin/postgres postgresql-15
	@sh tests/support/debian.sh /usr/bin/redis-server redis-server
	@$(PY) -m pytest tests/tls

browser: install-dev ## Use the dashboard in Chromium, as each role does (installs Debian's where root may)
	@sh tests/browser/install.sh
	@$(PY) -m pytest tests/browser

rabbitmq: install-dev ## Run on RabbitMQ: hints, a crash, a freeze, a full one (installs Debian's where root may)
	@sh tests/rabbitmq/install.sh
	@$(PY) -m pytest tests/rabbitmq

alerts: install-dev ## Have a real Prometheus judge deploy/alerts.yml over a service that is hurt (installs Debian's where root may)
	@sh tests/prometheus/install.sh
	@$(PY) -m pytest tests/prometheus

bench: install-dev ## Measure every figure of bench/README.md, in under ten minutes
	@$(PY) -m bench

bench-growth: install-dev ## Measure what a call costs at 10 thousand, 1 and 5 million payments (needs 45 GB)
	@$(PY) -m bench.growth

bench-books: install-dev ## Match statements of up to a million lines against a million payments, and report over them
	@$(PY) -m bench.books

bench-audit: install-dev ## Seal and verify 100 thousand and a million audit records on one core
	@$(PY) -m bench.audit

bench-sandbox: install-dev ## Measure how many requests a second the local providers answer
	@$(PY) -m bench.sandbox

lint: install-dev ## Run the checks alone: style, types, import rules
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/lint-imports

format: install-dev ## Put the code into its shape
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

# The locks: their parts, the largest first, so that the others take their versions from it.
LOCK_dev = requirements requirements-embedded requirements-sandbox requirements-build requirements-dev
LOCK_local = requirements requirements-embedded requirements-sandbox requirements-build
LOCK_sandbox = requirements-sandbox
LOCK_build = requirements-build

audit: install-dev ## Ask for known vulnerabilities of every locked package (exit code 3: could not be asked)
	@$(PY) scripts/audit.py

sbom: install-dev ## Write what a deployed process is made of to dist/sbom.json (CycloneDX, the same each time)
	@$(PY) scripts/sbom.py

lock: install-dev ## Resolve requirements*.in again (UPGRADE=1 takes newer versions)
	@$(call compile,$(LOCK_dev),requirements-dev.lock,$(if $(UPGRADE),--upgrade))
	@$(call compile,$(LOCK_local),requirements-local.lock,-c requirements-dev.lock)
	@$(call compile,$(LOCK_sandbox),requirements-sandbox.lock,-c requirements-dev.lock)
	@$(call compile,$(LOCK_build),requirements-build.lock,-c requirements-dev.lock)
	@$(call compile,requirements,requirements.lock,-c requirements-dev.lock)

define compile
$(PY) -m uv pip compile --quiet --universal --python-version 3.11.0 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(3) $(addsuffix .in,$(1)) -o $(2)
endef

migrate: install ## Bring the database that DATABASE_URL names up to date
	@$(VENV)/tollgate migrate

ci: ## Run what the continuous integration runs
	@bash .ci/run

clean: ## Remove .venv and the caches (not .tollgate, which holds data)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
