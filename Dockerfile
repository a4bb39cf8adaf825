# Two images: `tollgate` for every process of the service (docker-compose.yml says which one a container runs) and
# `sandbox` for the local providers. What they hold is locked by hash; neither holds a compiler, pip or the tests.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements-build.lock ./
RUN python -m venv tools && tools/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock

FROM build AS build-sandbox
COPY requirements-sandbox.lock ./
RUN python -m venv --without-pip /venv \
    && tools/bin/pip --python /venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements-sandbox.lock
COPY sandbox /app/sandbox
RUN python -m compileall -q /app

FROM build AS build-tollgate
COPY requirements.lock ./
RUN python -m venv --without-pip /venv \
    && tools/bin/pip --python /venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE requirements.in requirements-embedded.in requirements-sandbox.in requirements-dev.in ./
COPY api api
COPY cli cli
COPY core core
COPY workers workers
RUN tools/bin/pip wheel --no-cache-dir --no-deps --no-index --no-build-isolation --wheel-dir wheels . \
    && tools/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps --no-index wheels/*.whl

FROM python:3.11-slim AS base
# Without a shell, a home or any right: what the processes need is the network and /tmp.
RUN groupadd --system --gid 10001 tollgate \
    && useradd --system --uid 10001 --gid tollgate --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tollgate \
    && install --directory --owner tollgate --group tollgate /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM

FROM base AS sandbox
COPY --from=build-sandbox /venv /venv
COPY --from=build-sandbox /app /app
USER tollgate
WORKDIR /app
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/_sandbox/health', timeout=4)"]
ENTRYPOINT ["python", "-m", "sandbox"]
CMD ["stripe", "--host", "0.0.0.0", "--port", "8080", "--data-dir", "/data"]

# The last stage is what `docker build .` makes.
FROM base AS tollgate
COPY --from=build-tollgate /venv /venv
USER tollgate
WORKDIR /tmp
EXPOSE 8000
# Whether the process lives, not whether Postgres does: a restart would not bring that back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "api.serve", "--host", "0.0.0.0", "--port", "8000"]
