"""What the person's environment says about the stack: which parts are elsewhere, and what is fixed.

Anything unset that can be embedded is embedded. Only the starter of the local stack reads these variables here; the
processes that it starts read theirs in settings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.errors import WrongConfiguration

_ENCRYPTION_SECRET_BYTES = 32
_ADMIN_TOKEN_CHARACTERS_MIN = 16
_PORT_MAX = 65535


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The person's choices; None is unset. The names are those of the variables."""

    database_url: str | None = None
    migrations_database_url: str | None = None
    temporal_address: str | None = None
    temporal_namespace: str = "default"
    stripe_secret_key: str | None = None
    stripe_webhook_secret: str | None = None
    stripe_api_base: str | None = None
    admin_token: str | None = None
    api_key_encryption_secret: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None

    @property
    def embeds_postgres(self) -> bool:
        """Whether the database is ours to run."""
        return self.database_url is None

    @property
    def embeds_temporal(self) -> bool:
        """Whether Temporal is ours to run."""
        return self.temporal_address is None

    @property
    def embeds_stripe(self) -> bool:
        """Whether the stand-in plays Stripe; a key or an address of the person's own means that somebody else does."""
        return self.stripe_secret_key is None and self.stripe_api_base is None

    @property
    def has_test_clock(self) -> bool:
        """Whether the product's clock may be moved: only where nothing of value depends on it."""
        return self.embeds_postgres and self.embeds_stripe


def read_environment(environment: Mapping[str, str]) -> Chosen:
    """Read and check the person's choices.

    Args:
        environment: the variables; an empty one counts as unset.

    Raises:
        WrongConfiguration: one clear line for each wrong value.
    """
    problems = problems_of(environment)
    if problems:
        raise WrongConfiguration("\n".join(problems))
    return _chosen(environment)


def problems_of(environment: Mapping[str, str]) -> list[str]:
    """Give one clear line for each value that cannot be used.

    Args:
        environment: the variables; an empty one counts as unset.
    """
    given = {name: value for name, value in environment.items() if value}
    checks = (
        _check_database("GRANTFLOW_DATABASE_URL", given),
        _check_database("GRANTFLOW_MIGRATIONS_DATABASE_URL", given),
        _check_migrations(given),
        _check_address(given),
        _check_stripe(given),
        _check_api_base(given),
        _check_admin_token(given),
        _check_encryption_secret(given),
        _check_port(given),
    )
    return [problem for problem in checks if problem]


def _chosen(environment: Mapping[str, str]) -> Chosen:
    def given(name: str) -> str | None:
        return environment.get(name) or None

    port = given("GRANTFLOW_PORT")
    return Chosen(
        database_url=given("GRANTFLOW_DATABASE_URL"),
        migrations_database_url=given("GRANTFLOW_MIGRATIONS_DATABASE_URL"),
        temporal_address=given("TEMPORAL_ADDRESS"),
        temporal_namespace=given("TEMPORAL_NAMESPACE") or "default",
        stripe_secret_key=given("STRIPE_SECRET_KEY"),
        stripe_webhook_secret=given("STRIPE_WEBHOOK_SECRET"),
        stripe_api_base=given("STRIPE_API_BASE"),
        admin_token=given("GRANTFLOW_ADMIN_TOKEN"),
        api_key_encryption_secret=given("API_KEY_ENCRYPTION_SECRET"),
        host=given("GRANTFLOW_HOST") or "127.0.0.1",
        port=int(port) if port else None,
    )


def _check_database(name: str, given: Mapping[str, str]) -> str:
    url = given.get(name)
    if url is None:
        return ""
    scheme = urlsplit(url).scheme.partition("+")[0]
    return "" if scheme in ("postgresql", "postgres") else f"{name}: must begin with postgresql://"


def _check_migrations(given: Mapping[str, str]) -> str:
    if "GRANTFLOW_MIGRATIONS_DATABASE_URL" in given and "GRANTFLOW_DATABASE_URL" not in given:
        return "GRANTFLOW_MIGRATIONS_DATABASE_URL: is set without GRANTFLOW_DATABASE_URL, whose owner it names"
    return ""


def _check_address(given: Mapping[str, str]) -> str:
    address = given.get("TEMPORAL_ADDRESS")
    if address is None:
        return ""
    host, _, port = address.rpartition(":")
    return "" if host and _is_port(port) else f"TEMPORAL_ADDRESS: must be host:port, and is {address}"


def _check_stripe(given: Mapping[str, str]) -> str:
    key, hook = given.get("STRIPE_SECRET_KEY"), given.get("STRIPE_WEBHOOK_SECRET")
    if key is not None and not key.startswith(("sk_", "rk_")):
        return "STRIPE_SECRET_KEY: must begin with sk_ or rk_"
    if key is not None and hook is None:
        return "STRIPE_WEBHOOK_SECRET: must be set with STRIPE_SECRET_KEY; Stripe shows it beside the webhook endpoint"
    if hook is not None and not hook.startswith("whsec_"):
        return "STRIPE_WEBHOOK_SECRET: must begin with whsec_"
    return ""


def _check_api_base(given: Mapping[str, str]) -> str:
    base = given.get("STRIPE_API_BASE")
    if base is None:
        return ""
    if urlsplit(base).scheme not in ("http", "https"):
        return "STRIPE_API_BASE: must begin with http:// or https://"
    return "" if "STRIPE_SECRET_KEY" in given else "STRIPE_SECRET_KEY: must be set with STRIPE_API_BASE"


def _check_admin_token(given: Mapping[str, str]) -> str:
    token = given.get("GRANTFLOW_ADMIN_TOKEN")
    long_enough = token is None or len(token) >= _ADMIN_TOKEN_CHARACTERS_MIN
    return "" if long_enough else f"GRANTFLOW_ADMIN_TOKEN: must have at least {_ADMIN_TOKEN_CHARACTERS_MIN} characters"


def _check_encryption_secret(given: Mapping[str, str]) -> str:
    secret = given.get("API_KEY_ENCRYPTION_SECRET")
    right = secret is None or len(secret.encode()) == _ENCRYPTION_SECRET_BYTES
    return "" if right else f"API_KEY_ENCRYPTION_SECRET: must have exactly {_ENCRYPTION_SECRET_BYTES} bytes"


def _check_port(given: Mapping[str, str]) -> str:
    port = given.get("GRANTFLOW_PORT")
    return "" if port is None or _is_port(port) else f"GRANTFLOW_PORT: must be a number from 1 to {_PORT_MAX}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= _PORT_MAX
