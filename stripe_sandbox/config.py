"""What one stand-in needs to know to start."""

from dataclasses import dataclass
from pathlib import Path

# The version that stripe-python 16.1 is pinned to: events are rendered in it, as an account's default version would be.
API_VERSION = "2026-10-28.endive"


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """The settings of one stand-in.

    Attributes:
        data_dir: folder of its database file; created when missing.
        webhook_url: where events are posted.
        webhook_secret: the endpoint's signing secret (`whsec_…`).
        api_key: the only key that is accepted; None accepts every key that starts with `sk_`.
        api_version: the `api_version` of events, and the version of requests that name none.
        public_url: where a browser finds the stand-in; None takes the host that the request was sent to.
    """

    data_dir: Path
    webhook_url: str
    webhook_secret: str
    api_key: str | None = None
    api_version: str = API_VERSION
    public_url: str | None = None

    def base_url(self, scheme: str, host: str | None) -> str:
        """Return where a browser finds the stand-in, without a slash at the end.

        Args:
            scheme: of the request that is answered.
            host: its `Host` header.
        """
        return (self.public_url or f"{scheme}://{host or 'localhost'}").rstrip("/")
