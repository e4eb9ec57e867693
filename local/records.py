"""The files in the data folder that the supervisor writes and every command reads."""

import secrets
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from local.errors import WrongConfiguration
from local.folders import write_private
from local.ports import free_port, is_free
from local.process_ids import ProcessId

Phase = Literal["starting", "ready", "stopping", "failed"]
PartState = Literal["starting", "running", "restarting", "stopped"]

PART_NAMES = ("api", "worker", "temporal", "stripe", "postgres")


class _Record(BaseModel):
    """Frozen, camelCase on disk and on the screen; what a newer version wrote beyond it is passed over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def to_json(self) -> str:
        """Give the JSON text, as the contract names its fields."""
        return self.model_dump_json(by_alias=True, indent=2)

    def save(self, path: Path) -> None:
        """Write the record, readable by its owner alone."""
        write_private(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read the record, or None if there is no such file.

        Raises:
            WrongConfiguration: if the file is not what this program writes.
        """
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_text())
        except ValidationError as no:
            raise WrongConfiguration(
                f"{path} cannot be read ({no.error_count()} errors): run `grantflow reset`"
            ) from no


class Secrets(_Record):
    """What is made up once for a data folder and then kept: tokens in use must not change with a restart."""

    admin_token: str = Field(default_factory=lambda: f"gfa_{secrets.token_urlsafe(32)}")
    stripe_secret_key: str = Field(default_factory=lambda: f"sk_test_{secrets.token_hex(24)}")
    stripe_webhook_secret: str = Field(default_factory=lambda: f"whsec_{secrets.token_urlsafe(32)}")
    # 32 characters of ASCII, so 32 bytes.
    api_key_encryption_secret: str = Field(default_factory=lambda: secrets.token_hex(16))


class Ports(_Record):
    """The ports of the embedded parts, all on 127.0.0.1."""

    api: int = Field(default_factory=free_port)
    postgres: int = Field(default_factory=free_port)
    temporal: int = Field(default_factory=free_port)
    temporal_ui: int = Field(default_factory=free_port)
    stripe: int = Field(default_factory=free_port)
    worker_metrics: int = Field(default_factory=free_port)

    def renewed(self, api: int | None) -> "Ports":
        """Keep every port that is still free, and take others for the rest.

        Args:
            api: the API's port if the person named one.
        """
        kept = {name: port for name, port in self.model_dump().items() if is_free(port)}
        if api is not None:
            kept["api"] = api
        renewed = Ports(**kept)
        taken = list(renewed.model_dump().values())
        return renewed if len(set(taken)) == len(taken) else Ports(api=renewed.api).renewed(api)


class Kept(_Record):
    """What a data folder remembers between starts."""

    secrets: Secrets = Field(default_factory=Secrets)
    ports: Ports = Field(default_factory=Ports)


class StackAddress(_Record):
    """Where the running stack is found; the object that `grantflow up --json` prints."""

    api_url: str
    ws_url: str
    web_url: str
    temporal_address: str
    temporal_ui_url: str | None
    temporal_namespace: str
    database_url: str
    stripe_url: str
    stripe_webhook_secret: str
    admin_token: str
    data_dir: str
    log_dir: str
    supervisor_pid: int
    worker_metrics_url: str
    pids: dict[str, int | None] = Field(default_factory=dict)


class PartRecord(_Record):
    """How one part is: its process, and how often it had to be started again."""

    state: PartState = "starting"
    process: ProcessId | None = None
    restarts: int = 0
    url: str
    last_exit: int | None = None

    @property
    def state_now(self) -> PartState:
        """The state, corrected where the process is gone and the supervisor has not seen it yet."""
        gone = self.process is not None and not self.process.is_running()
        return "restarting" if gone and self.state == "running" else self.state


class RunRecord(_Record):
    """One run of the stack, as its supervisor writes it down while it goes on."""

    supervisor: ProcessId
    phase: Phase = "starting"
    doing: str = ""
    problem: str = ""
    exit_code: int = 0
    address: StackAddress
    parts: dict[str, PartRecord] = Field(default_factory=dict)

    def is_alive(self) -> bool:
        """Say whether the supervisor that wrote this still runs."""
        return self.supervisor.is_running()

    def current_address(self) -> StackAddress:
        """Give the address with the processes of this moment; a part that runs elsewhere has none."""
        pids = {name: part.process.pid for name, part in self.parts.items() if part.process is not None}
        return self.address.model_copy(update={"pids": {name: pids.get(name) for name in PART_NAMES}})
