"""The connection to Temporal, the same for every process: address, namespace, credentials, payloads by pydantic."""

from dataclasses import dataclass

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig


@dataclass(frozen=True)
class TemporalAddress:
    """Where Temporal is. ``api_key`` is for Temporal Cloud, which wants TLS as well."""

    address: str
    namespace: str
    api_key: str | None = None
    tls: bool = False


async def connect(where: TemporalAddress, *, lazy: bool = False, metrics_port: int | None = None) -> Client:
    """A client; a lazy one connects with its first call, so that a process starts while Temporal is down.

    ``metrics_port`` serves the SDK's own metrics for Prometheus, on this machine only.
    """
    runtime = None
    if metrics_port is not None:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=f"127.0.0.1:{metrics_port}")))
    return await Client.connect(
        where.address,
        namespace=where.namespace,
        api_key=where.api_key,
        tls=where.tls or where.api_key is not None,
        data_converter=pydantic_data_converter,
        lazy=lazy,
        runtime=runtime,
    )
