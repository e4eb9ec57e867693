"""`python -m stripe_sandbox`: serve the stand-in until it is stopped."""

import argparse
import logging
import sys
from pathlib import Path

import uvicorn

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from stripe_sandbox.database import WrongVersion

STOP_WITHIN_SECONDS = 2


def main(words: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return 2 when the settings cannot be used."""
    chosen = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        app = create_app(
            SandboxConfig(
                data_dir=chosen.data_dir,
                webhook_url=chosen.webhook_url,
                webhook_secret=chosen.webhook_secret,
                api_key=chosen.api_key,
                public_url=chosen.public_url,
            )
        )
    except (WrongVersion, ValueError, OSError) as unusable:
        logging.getLogger("stripe_sandbox").error("cannot start: %s", unusable)
        return 2
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stripe_sandbox", description="A stand-in for Stripe.")
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the state; made when missing")
    parser.add_argument("--webhook-url", required=True, help="where events are posted")
    parser.add_argument("--webhook-secret", required=True, help="signing secret of that endpoint (whsec_…)")
    parser.add_argument("--api-key", help="the only key accepted (default: every sk_… key)")
    parser.add_argument("--public-url", help="where browsers find this stand-in (default: the host of each request)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
