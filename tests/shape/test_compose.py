"""The compose file: of the published form, safe, and at one with settings, lanes, Procfile and Dockerfile."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.serve import FINISH
from cli.embedded_redis import server_program
from cli.ports import free_port
from core import environment
from core.settings import Settings
from core.startup import addresses
from tests.shape.reading import ROOT, compose, dockerfile, procfile, words
from tests.support.waiting import wait_until
from workers.configuration import LANES
from workers.lanes import connections
from workers.polling import LAST_COMMIT, LEASE_CONNECTIONS

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "tollgate"]
WORKERS = [name for name in OURS if name.startswith("worker-")]
RUNNING = ["api", "beat", *WORKERS]
#: Read by `tollgate migrate` or by the metrics' library, and no settings of a process.
OTHER_NAMES = {"MIGRATION_DATABASE_URL", "WORKER_DATABASE_URL", "TOLLGATE_DATA_DIR", "PROMETHEUS_MULTIPROC_DIR"}
#: Processes that end by themselves, and one that nobody waits for.
UNCHECKED = {"migrate", "tollgate", "beat"}
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:[?-][^}]*)?\}")


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def filled(service: str) -> dict[str, str]:
    """Its environment with the operator's values put in."""
    given = {"TOLLGATE_UID": "1000", "METRICS_TOKEN": "6b1f0c2e9a6b1f0c2e9a"}
    named = SERVICES[service].get("environment", {})
    return {name: _VARIABLE.sub(lambda one: given.get(one[1], "6b1f0c2e9a"), text) for name, text in named.items()}


def test_the_compose_file_is_one() -> None:
    schema = json.loads((Path(__file__).parent / "samples" / "compose-spec.json").read_text(encoding="utf-8"))
    wrong = [
        f"{list(one.instance_path)}: {one.message}"
        for one in jsonschema_rs.validator_for(schema).iter_errors(compose())
    ]
    assert wrong == []


def test_all_processes_are_there() -> None:
    assert set(SERVICES) - set(WORKERS) == {
        "postgres", "redis", "proxy", "migrate", "tollgate", "api", "beat", "prometheus", "sandbox-stripe",
        "sandbox-paystack"
    }  # fmt: skip
    assert {f"worker-{lane}" for lane in LANES} == set(WORKERS)


@pytest.mark.parametrize("name", WORKERS)
def test_each_lane_has_workers_of_its_own(name: str) -> None:
    command = SERVICES[name]["command"]
    assert command[command.index("-Q") + 1] == name.removeprefix("worker-")


def test_commands_are_those_of_the_procfile_which_the_tests_run() -> None:
    lines = procfile()
    pairs = {"migrate": "release", "api": "web", "beat": "beat", **{f"worker-{lane}": lane for lane in LANES}}
    assert set(pairs.values()) == set(lines)
    for service, line in pairs.items():
        assert SERVICES[service]["command"] == words(lines[line]), service


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if service.get("image") != "tollgate-sandbox":  # its own image says who it is
        assert service["user"] not in ("root", "0", 0, "")
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    if name in UNCHECKED:
        assert service["healthcheck"] == {"disable": True}
    elif "healthcheck" in service:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    else:
        target = service["build"]["target"]
        assert [one for one in dockerfile() if (one.stage, one.name) == (target, "HEALTHCHECK")]


def test_who_waits_for_whom_waits_for_what_can_happen() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert healthy is (other not in UNCHECKED), f"{name} on {other}"


@pytest.mark.parametrize("name", OURS)
def test_environment_names_exist(name: str) -> None:
    known = set(environment.variables(Settings)) | OTHER_NAMES
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", RUNNING)
def test_settings_are_whole_and_safe(name: str) -> None:
    settings = environment.read(Settings, filled(name))
    assert [remark.text for remark in addresses.look(settings, {}) if remark.refuses] == []
    role = "api" if name == "api" else "worker"
    assert f"tollgate_{role}:" in settings.database_url
    assert settings.key_file == Path("/run/secrets/keys")


def test_no_running_process_knows_the_owner_of_the_tables() -> None:
    texts = {name: json.dumps(service) for name, service in SERVICES.items()}
    assert [name for name, text in texts.items() if "tollgate_owner:" in text] == ["migrate", "tollgate"]
    assert [name for name, text in texts.items() if "POSTGRES_PASSWORD" in text] == ["postgres", "migrate", "tollgate"]


def test_no_password_stands_in_an_argument_list_and_none_has_a_default() -> None:
    for service in SERVICES.values():
        for word in service.get("command", []):
            # Only a shell inside reads that one, and hands it on by standard input.
            assert "PASSWORD" not in word.replace("requirepass $$REDIS_PASSWORD\n", "")
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    uses = [(found[1], found[2] or "") for found in _VARIABLE.finditer(text)]
    asked = {name for name, rule in uses if rule.startswith(":?")}
    assert asked == {"POSTGRES_PASSWORD", "API_PASSWORD", "WORKER_PASSWORD", "REDIS_PASSWORD"}
    assert {name for name, _ in uses} - asked == {"TOLLGATE_UID", "HTTPS_PORT", "METRICS_TOKEN"}


def test_the_proxy_alone_is_reached_from_outside() -> None:
    public = {name for name, one in SERVICES.items() if any("127.0.0.1:" not in port for port in one.get("ports", []))}
    assert public == {"proxy"}
    # A fixed port of the host could be taken by one copy only.
    assert all("ports" not in SERVICES[name] and "container_name" not in SERVICES[name] for name in OURS)
    assert compose()["networks"]["data"] == {"internal": True}
    assert all(SERVICES[name]["networks"] == ["data"] for name in ("postgres", "redis"))
    assert set(SERVICES["proxy"]["networks"]) == {"outside"}


def test_local_providers_start_only_when_asked_for() -> None:
    assert {name for name, one in SERVICES.items() if one.get("profiles") == ["sandbox"]} == {
        "sandbox-stripe", "sandbox-paystack"
    }  # fmt: skip
    assert [name for name in OURS if "profiles" in SERVICES[name]] == ["tollgate"]


def test_a_stop_leaves_time_for_what_is_under_way() -> None:
    settings = environment.read(Settings, filled("api"))
    for name in WORKERS:
        assert seconds(SERVICES[name]["stop_grace_period"]) > settings.provider_deadline + LAST_COMMIT
    assert seconds(SERVICES["api"]["stop_grace_period"]) > settings.drain + FINISH


def test_redis_starts_as_it_stands_there_and_refuses_rather_than_evicts(tmp_path: Path) -> None:
    port = free_port()
    command = [word.replace("$$", "$") for word in SERVICES["redis"]["command"]]
    # The image listens for all and at its own port; here both are the test's.
    command[-1] = command[-1].replace("\nEND", f"\nport {port}\nbind 127.0.0.1\nEND")
    env = {"PATH": f"{server_program().parent}:{os.defpath}", "REDIS_PASSWORD": "6b1f0c2e9a"}
    server = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port, password="6b1f0c2e9a", retry=Retry(NoBackoff(), 0))
        wait_until(lambda: answers(client), "the server to answer")
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
        assert "6b1f0c2e9a" not in Path(f"/proc/{server.pid}/cmdline").read_text()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port, retry=Retry(NoBackoff(), 0)).ping()
        client.close()
    finally:
        # It has taken the shell's place, so a container's stop reaches it.
        server.terminate()
    assert server.wait(10) == 0


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_postgres_has_connections_for_three_times_everything() -> None:
    allowed = int(next(word for word in SERVICES["postgres"]["command"] if "max_connections" in word).split("=")[1])
    settings = environment.read(Settings, filled("api"))
    api = settings.api_processes * settings.api_threads
    workers = sum(connections(settings, [lane]) + LEASE_CONNECTIONS for lane in LANES)
    # Some stay for the owner, for operators and for a copy that starts while another ends.
    assert 3 * (api + workers) + 20 <= allowed


def test_mounted_files_are_there_and_secrets_are_kept_out_of_the_repository() -> None:
    volumes = [volume for one in SERVICES.values() for volume in one.get("volumes", []) if isinstance(volume, str)]
    mounted = [volume.split(":")[0] for volume in volumes if "./" in volume]
    files = {"./deploy/nginx.conf", "./deploy/prometheus.yml", "./deploy/alerts.yml"}
    assert set(mounted) == {*files, "./deploy/certs"}
    assert all((ROOT / name).is_file() for name in files)
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"deploy/certs/", "secrets/", "/anchor/"} <= set(ignored)
    assert compose()["secrets"] == {"keys": {"file": "./secrets/keys.json"}}


def test_the_anchor_is_kept_in_a_folder_that_is_no_volume_and_that_the_process_may_write() -> None:
    told = {name for name in OURS if "TOLLGATE_ANCHOR_FILE" in SERVICES[name]["environment"]}
    assert told == {"api", "tollgate", *WORKERS}
    for name in OURS:
        folders = [one for one in SERVICES[name].get("volumes", []) if one["source"] == "./anchor"]
        assert len(folders) == (1 if name in told else 0), name
        for folder in folders:
            # Made by Docker it would be root's; a volume would go when the database's does.
            assert (folder["type"], folder["bind"]) == ("bind", {"create_host_path": False})
            path = Path(SERVICES[name]["environment"]["TOLLGATE_ANCHOR_FILE"])
            assert (path.parent, SERVICES[name]["user"]) == (Path(folder["target"]), "${TOLLGATE_UID:-10001}")
            # The api only looks; workers write it, and `tollgate resume` does.
            # The API writes there whom it has erased.
            assert not folder.get("read_only", False)
    for text in (ROOT / "docker-compose.yml", ROOT / "docs" / "operations.md"):
        assert "mkdir -p secrets deploy/certs anchor\n" in text.read_text(encoding="utf-8")


def test_prometheus_finds_every_process_where_it_listens() -> None:
    """By the names and ports of deploy/prometheus.yml, with the token that they ask for."""
    told = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
    named = {
        name: job["port"] for one in told["scrape_configs"] for job in one["dns_sd_configs"] for name in job["names"]
    }
    listens = {name: filled(name)["TOLLGATE_METRICS_LISTEN"].rpartition(":")[2] for name in WORKERS}
    assert named == {"api": 8000, **{name: int(port) for name, port in listens.items()}}
    service = SERVICES["prometheus"]
    for one in told["scrape_configs"]:
        assert f'printf %s "$$METRICS_TOKEN" >{one["authorization"]["credentials_file"]}' in service["entrypoint"][2]
    assert "./deploy/alerts.yml:/etc/prometheus/alerts.yml:ro" in service["volumes"]
    assert told["rule_files"] == ["alerts.yml"]
    assert set(SERVICES["api"]["networks"]) & set(service["networks"]) == {"data", "outside"}
    assert {filled(name)["TOLLGATE_METRICS_TOKEN"] for name in RUNNING} == {"6b1f0c2e9a6b1f0c2e9a"}


def test_the_trial_certificate_is_one_command() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^#   (openssl .*)$", text, flags=re.M)
    assert shlex.split(line)[-3:] == ["deploy/certs/tls.key", "-out", "deploy/certs/tls.crt"]
