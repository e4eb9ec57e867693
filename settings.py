"""The environment, typed, and read here only."""

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """What a process of Grantflow is told by its environment. README.md lists the variables with examples."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, env_ignore_empty=True)

    database_url: SecretStr = Field(validation_alias="GRANTFLOW_DATABASE_URL")
    migrations_database_url: SecretStr | None = Field(None, validation_alias="GRANTFLOW_MIGRATIONS_DATABASE_URL")

    temporal_address: str = Field("127.0.0.1:7233", validation_alias="TEMPORAL_ADDRESS")
    temporal_namespace: str = Field("default", validation_alias="TEMPORAL_NAMESPACE")
    temporal_api_key: SecretStr | None = Field(None, validation_alias="TEMPORAL_API_KEY")
    temporal_tls: bool = Field(default=False, validation_alias="TEMPORAL_TLS")
    temporal_ui_url: str = Field("", validation_alias="GRANTFLOW_TEMPORAL_UI_URL")

    stripe_secret_key: SecretStr = Field(validation_alias="STRIPE_SECRET_KEY")
    stripe_webhook_secret: SecretStr = Field(validation_alias="STRIPE_WEBHOOK_SECRET")
    stripe_api_base: str | None = Field(None, validation_alias="STRIPE_API_BASE")
    stripe_metered_price: str = Field("price_grantflow_credits", validation_alias="STRIPE_METERED_PRICE")

    expiry_notice_days: Annotated[tuple[int, ...], NoDecode] = Field(
        (30, 7, 1), validation_alias="GRANTFLOW_EXPIRY_NOTICE_DAYS"
    )

    admin_token: SecretStr = Field(validation_alias="GRANTFLOW_ADMIN_TOKEN")
    allowed_origins: str = Field("", validation_alias="GRANTFLOW_ALLOWED_ORIGINS")
    host: str = Field("127.0.0.1", validation_alias="GRANTFLOW_HOST")
    port: int = Field(8080, ge=0, le=65535, validation_alias="GRANTFLOW_PORT")
    public_url: str = Field("", validation_alias="GRANTFLOW_PUBLIC_URL")
    embedded: bool = Field(default=False, validation_alias="GRANTFLOW_EMBEDDED")
    worker_metrics_port: int | None = Field(None, validation_alias="GRANTFLOW_WORKER_METRICS_PORT")

    @field_validator("database_url", "migrations_database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://", "postgresql+")):
            raise ValueError("must begin with postgresql://")
        return url

    @field_validator("expiry_notice_days", mode="before")
    @classmethod
    def _are_days(cls, days: object) -> object:
        if not isinstance(days, str):
            return days
        written = [each.strip() for each in days.split(",")]
        if not all(re.fullmatch("[1-9][0-9]{0,2}", each) for each in written) or len(set(written)) < len(written):
            raise ValueError("must be different whole numbers from 1 to 999 with commas between, such as 30,7,1")
        return tuple(int(each) for each in written)

    @field_validator("admin_token")
    @classmethod
    def _is_long(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters")
        return token

    @property
    def origins(self) -> frozenset[str]:
        """The origins from which browsers may open a WebSocket, besides our own."""
        return frozenset(origin.strip().rstrip("/") for origin in self.allowed_origins.split(",") if origin.strip())

    @property
    def reached_at(self) -> str:
        """Where others reach the API: as told, or where it listens, if that is one address; else nothing."""
        if self.public_url or self.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
            return self.public_url.rstrip("/")
        return f"http://{self.host}:{self.port}"

    @property
    def sqlalchemy_url(self) -> str:
        """The database's address for the asynchronous driver."""
        return asyncpg_url(self.database_url.get_secret_value())


class MigrationSettings(BaseSettings):
    """What the migrations need to know: the owner's address, or the application's where there is but one role."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, env_ignore_empty=True)

    owner_url: SecretStr | None = Field(None, validation_alias="GRANTFLOW_MIGRATIONS_DATABASE_URL")
    database_url: SecretStr | None = Field(None, validation_alias="GRANTFLOW_DATABASE_URL")

    @property
    def sqlalchemy_url(self) -> str:
        """The address under which the migrations run."""
        url = self.owner_url or self.database_url
        if url is None:
            stop_with("GRANTFLOW_MIGRATIONS_DATABASE_URL or GRANTFLOW_DATABASE_URL: not set. It names the database.")
        return asyncpg_url(url.get_secret_value())


def asyncpg_url(url: str) -> str:
    """``postgresql://…`` as SQLAlchemy's asynchronous driver wants it: it calls libpq's ``sslmode`` ``ssl``."""
    return "postgresql+asyncpg://" + url.split("://", 1)[1].replace("?sslmode=", "?ssl=").replace("&sslmode=", "&ssl=")


def plain_url(url: str) -> str:
    """The address without SQLAlchemy's driver name, for asyncpg itself."""
    return "postgresql://" + url.split("://", 1)[1]


def load_settings() -> Settings:
    """Reads the environment; a missing or wrong value ends the process with one clear line for each."""
    try:
        return Settings()
    except ValidationError as error:
        stop_with(*(f"{_variable(problem['loc'])}: {_plainly(problem)}" for problem in error.errors()))


def stop_with(*lines: str) -> NoReturn:
    """Ends the process with these lines and exit code 2: the environment is wrong, and no traceback helps."""
    for line in lines:
        sys.stderr.write(f"{line}\n")
    raise SystemExit(2)


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else "environment"


def _plainly(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "not set. `grantflow up` sets it for the embedded stack; docs/going-live.md says what it is elsewhere."
    return str(problem["msg"]).removeprefix("Value error, ")
