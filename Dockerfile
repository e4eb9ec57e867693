# One image for the API, the worker and the migrations; which of them it runs is its command.
# Only the runtime's dependencies go in, by their hashes; no secret does.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
COPY requirements-runtime.lock ./
RUN python -m venv /opt/venv
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-runtime.lock

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin grantflow
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY pyproject.toml settings.py worker.py ./
COPY activities ./activities
COPY api ./api
COPY gateways ./gateways
COPY ledger ./ledger
COPY messages ./messages
COPY migrations ./migrations
COPY workflows ./workflows
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV GRANTFLOW_HOST=0.0.0.0 GRANTFLOW_PORT=8080
USER grantflow
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
CMD ["python", "-m", "api"]
