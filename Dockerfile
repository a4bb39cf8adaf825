# One image for every process; docker-compose.yml says which one a container runs.
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml requirements.in LICENSE ./
COPY api api
COPY cli cli
COPY core core
COPY sandbox sandbox
COPY workers workers
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index .

FROM python:3.11-slim
# Without a shell, a home or any right: what the processes need is the network and /tmp.
RUN groupadd --system --gid 10001 tollgate \
    && useradd --system --uid 10001 --gid tollgate --no-create-home --shell /usr/sbin/nologin tollgate
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER tollgate
WORKDIR /tmp
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface", "wsgi", "--factory", "--host", "0.0.0.0", "--port", "8000", "--no-ws", "--workers", "2", "--blocking-threads", "8", "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "10", "api.app:create_app"]
