"""Grantflow's own stack: which parts and jobs it is made of, and what each is told."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from local.children import Child, Command, spawn
from local.environment import Chosen
from local.errors import PartFailed
from local.folders import project_dir
from local.parts import Job, Part, Step
from local.ports import LOOPBACK
from local.postgres import STOP_SIGNAL as POSTGRES_STOP_SIGNAL
from local.postgres import EmbeddedPostgres
from local.readiness import answers, has_printed
from local.records import Kept, StackAddress
from local.state import DataDir
from local.temporal import TemporalDevServer
from local.test_clock import install_test_clock

_MIGRATIONS_TIMEOUT_SECONDS = 600.0
_WORKER_READY = "worker ready"
# Empty is unset: a key or TLS for a Temporal elsewhere must not be tried on the embedded one.
_FOR_ANOTHER_TEMPORAL = ("TEMPORAL_API_KEY", "TEMPORAL_TLS")
_STRIPE_URL = "https://api.stripe.com"


@dataclass(frozen=True)
class Stack:
    """One stack on one data folder, before it is started. `own` is the environment that the person has set up."""

    data_dir: DataDir
    chosen: Chosen
    kept: Kept
    own: Mapping[str, str]

    def steps(self) -> list[Step]:
        """Give all that has to be started, in order; a part that is elsewhere is left out."""
        postgres = self._postgres
        steps: list[Step] = []
        if self.chosen.embeds_postgres:
            steps += [_postgres_part(postgres), Job(name="database", run=postgres.create_roles_and_database)]
        steps.append(Job(name="migrations", run=self._migrate))
        if self.chosen.has_test_clock:
            steps.append(Job(name="test clock", run=lambda: install_test_clock(postgres.owner_url)))
        if self.chosen.embeds_temporal:
            steps.append(self._temporal_part())
        if self.chosen.embeds_stripe:
            steps.append(self._stripe_part())
        return [*steps, self._worker_part(), self._api_part()]

    def address(self) -> StackAddress:
        """Give where the stack is found, as far as it is known before it runs."""
        chosen, ports, secrets = self.chosen, self.kept.ports, self.kept.secrets
        return StackAddress(
            api_url=self._api_url,
            ws_url=f"ws://{self._api_authority}/ws",
            web_url=f"{self._api_url}/",
            temporal_address=chosen.temporal_address or f"{LOOPBACK}:{ports.temporal}",
            temporal_ui_url=f"http://{LOOPBACK}:{ports.temporal_ui}" if chosen.embeds_temporal else None,
            temporal_namespace=chosen.temporal_namespace,
            database_url=chosen.database_url or self._postgres.app_url,
            stripe_url=self._stripe_base or _STRIPE_URL,
            stripe_webhook_secret=chosen.stripe_webhook_secret or secrets.stripe_webhook_secret,
            admin_token=chosen.admin_token or secrets.admin_token,
            data_dir=str(self.data_dir.path),
            log_dir=str(self.data_dir.logs),
            supervisor_pid=os.getpid(),
            worker_metrics_url=f"http://{LOOPBACK}:{ports.worker_metrics}/metrics",
        )

    @cached_property
    def _postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.data_dir.path, port=self.kept.ports.postgres)

    @property
    def _api_authority(self) -> str:
        host = LOOPBACK if self.chosen.host in ("0.0.0.0", "::") else self.chosen.host  # noqa: S104 (compared only)
        return f"{host}:{self.kept.ports.api}"

    @property
    def _api_url(self) -> str:
        return f"http://{self._api_authority}"

    @property
    def _stripe_base(self) -> str | None:
        if self.chosen.embeds_stripe:
            return f"http://{LOOPBACK}:{self.kept.ports.stripe}"
        return self.chosen.stripe_api_base

    def _environment(self) -> Mapping[str, str]:
        """Give the environment of the worker and the API: the person's own, and what the stack decides."""
        address, secrets = self.address(), self.kept.secrets
        decided = {
            "GRANTFLOW_DATABASE_URL": address.database_url,
            "GRANTFLOW_MIGRATIONS_DATABASE_URL": "",  # the owner's password is for the migrations alone
            "GRANTFLOW_ADMIN_TOKEN": address.admin_token,
            "GRANTFLOW_HOST": self.chosen.host,
            "GRANTFLOW_PORT": str(self.kept.ports.api),
            "GRANTFLOW_PUBLIC_URL": self._api_url,
            "GRANTFLOW_TEMPORAL_UI_URL": address.temporal_ui_url or self.own.get("GRANTFLOW_TEMPORAL_UI_URL", ""),
            "GRANTFLOW_WORKER_METRICS_PORT": str(self.kept.ports.worker_metrics),
            "GRANTFLOW_EMBEDDED": "1" if self.chosen.has_test_clock else "",
            "TEMPORAL_ADDRESS": address.temporal_address,
            "TEMPORAL_NAMESPACE": address.temporal_namespace,
            "STRIPE_SECRET_KEY": self.chosen.stripe_secret_key or secrets.stripe_secret_key,
            "STRIPE_WEBHOOK_SECRET": address.stripe_webhook_secret,
            "STRIPE_API_BASE": self._stripe_base or "",
            "API_KEY_ENCRYPTION_SECRET": self.chosen.api_key_encryption_secret or secrets.api_key_encryption_secret,
        }
        if self.chosen.embeds_temporal:
            decided |= dict.fromkeys(_FOR_ANOTHER_TEMPORAL, "")
        return self._python_environment(decided)

    async def _migrate(self) -> None:
        owner_url = self.chosen.migrations_database_url or self.chosen.database_url or self._postgres.owner_url
        environment = self._python_environment({"GRANTFLOW_MIGRATIONS_DATABASE_URL": owner_url})
        job = await spawn(self._python("migrations", environment))
        code = await job.finish(_MIGRATIONS_TIMEOUT_SECONDS)
        if code != 0:
            raise PartFailed("migrations", f"ended with exit code {code}", job.command.log)

    def _temporal_part(self) -> Part:
        ports = self.kept.ports
        server = TemporalDevServer(self.data_dir.path, port=ports.temporal, ui_port=ports.temporal_ui)

        async def is_ready(_: Child) -> bool:
            return await server.is_ready()

        return Part(name="temporal", url=server.ui_url, command=server.command, is_ready=is_ready)

    def _stripe_part(self) -> Part:
        secrets, ports = self.kept.secrets, self.kept.ports
        url = f"http://{LOOPBACK}:{ports.stripe}"
        arguments = (
            *("--host", LOOPBACK, "--port", str(ports.stripe), "--data-dir", str(self.data_dir.path / "stripe")),
            *("--webhook-url", f"http://{LOOPBACK}:{ports.api}/webhooks/stripe"),
            *("--webhook-secret", secrets.stripe_webhook_secret),
        )
        return Part(
            name="stripe",
            url=url,
            command=lambda: self._python("stripe_sandbox", self._python_environment({}), arguments, log="stripe"),
            is_ready=answers(f"{url}/_sandbox/health"),
        )

    def _worker_part(self) -> Part:
        return Part(
            name="worker",
            url=self.address().worker_metrics_url,
            command=lambda: self._python("worker", self._environment()),
            is_ready=has_printed(_WORKER_READY),
            uses_temporal_sdk=True,
        )

    def _api_part(self) -> Part:
        return Part(
            name="api",
            url=self._api_url,
            command=lambda: self._python("api", self._environment()),
            is_ready=answers(f"{self._api_url}/readyz"),
            uses_temporal_sdk=True,
        )

    def _python_environment(self, decided: Mapping[str, str]) -> dict[str, str]:
        """What is logged is in the log at once; what is on this machine is never asked for through a proxy."""
        direct = ",".join(filter(None, (self.own.get("NO_PROXY") or self.own.get("no_proxy"), LOOPBACK, "localhost")))
        return {**self.own, **decided, "PYTHONUNBUFFERED": "1", "NO_PROXY": direct, "no_proxy": direct}

    def _python(
        self, module: str, environment: Mapping[str, str], arguments: tuple[str, ...] = (), log: str | None = None
    ) -> Command:
        return Command(
            argv=(sys.executable, "-m", module, *arguments),
            log=self.data_dir.log(log or module),
            environment=environment,
            folder=project_dir(),
        )


def _postgres_part(postgres: EmbeddedPostgres) -> Part:
    async def is_ready(_: Child) -> bool:
        return await postgres.is_ready()

    return Part(
        name="postgres",
        url=f"postgresql://{LOOPBACK}",
        command=postgres.command,
        is_ready=is_ready,
        before_start=postgres.prepare,
        stop_signal=POSTGRES_STOP_SIGNAL,
        stop_timeout_seconds=30.0,
    )
