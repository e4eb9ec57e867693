"""The composition root of the API: ``python -m api``."""

import argparse
import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.delivery import InboxDelivery
from api.app import create_app
from api.background import Background
from api.live import LiveHub
from api.looking import LookDesk
from api.notices import NoticeDesk
from api.parts import ApiSettings, Parts
from api.serving import make_server
from api.topping_up import TopUpDesk
from gateways.run import run_process
from gateways.temporal.connection import TemporalAddress, connect
from gateways.temporal.flows import Flows
from ledger.consuming import Consumption
from ledger.transaction import WeakerIsolation, open_engine, refuse_weaker_isolation
from settings import Settings, load_settings, plain_url, stop_with

DATABASE_ATTEMPTS = 60
DATABASE_PAUSE_SECONDS = 0.5

_log = logging.getLogger(__name__)

HELP = """\
Serves Grantflow's HTTP API and WebSocket. Everything comes from the environment: GRANTFLOW_DATABASE_URL,
GRANTFLOW_ADMIN_TOKEN, GRANTFLOW_HOST, GRANTFLOW_PORT, GRANTFLOW_PUBLIC_URL, GRANTFLOW_ALLOWED_ORIGINS,
TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET and others that README.md lists.
It starts while Temporal is down; it waits half a minute for the database.

example: GRANTFLOW_PORT=8080 python -m api
"""


def main() -> None:
    """Reads the environment and serves until it is told to stop."""
    argparse.ArgumentParser(
        prog="python -m api", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    settings = load_settings()
    run_process(lambda: serve(settings))


async def serve(settings: Settings) -> None:
    """Puts the parts together and serves."""
    engine = open_engine(settings.sqlalchemy_url)
    try:
        await _wait_for_database(engine)
        parts = await _parts(settings, engine)
        server = make_server(create_app(parts), parts.live, host=settings.host, port=settings.port)
        await server.serve()
    finally:
        await engine.dispose()


async def _parts(settings: Settings, engine: AsyncEngine) -> Parts:
    api_key = settings.temporal_api_key
    address = TemporalAddress(
        address=settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=None if api_key is None else api_key.get_secret_value(),
        tls=settings.temporal_tls,
    )
    flows = Flows(await connect(address, lazy=True))
    background = Background()
    top_ups = TopUpDesk(engine, flows, background)
    return Parts(
        engine=engine,
        flows=flows,
        delivery=InboxDelivery(engine, flows),
        consumption=Consumption(engine, on_crossing=top_ups.crossed),
        live=LiveHub(engine, plain_url(settings.database_url.get_secret_value())),
        background=background,
        notices=NoticeDesk(engine, background),
        top_ups=top_ups,
        looks=LookDesk(engine, flows, background),
        settings=ApiSettings(
            admin_token=settings.admin_token.get_secret_value(),
            webhook_secret=settings.stripe_webhook_secret.get_secret_value(),
            public_url=settings.reached_at,
            origins=settings.origins,
            temporal_ui_url=settings.temporal_ui_url,
            temporal_namespace=settings.temporal_namespace,
            embedded=settings.embedded,
            stripe_api_base=settings.stripe_api_base,
        ),
    )


async def _wait_for_database(engine: AsyncEngine) -> None:
    """Gives a database that restarts at the same moment its half minute, and refuses one with weaker isolation."""
    for attempt in range(1, DATABASE_ATTEMPTS + 1):
        try:
            await refuse_weaker_isolation(engine)
        except WeakerIsolation as error:
            stop_with(str(error))
        except Exception as error:
            # Whatever the driver raises: it is not there yet, or the address is wrong. Which one, the words say.
            if attempt == DATABASE_ATTEMPTS:
                stop_with(f"GRANTFLOW_DATABASE_URL: the database can't be used ({type(error).__name__}: {error})")
            if attempt == 1:
                _log.warning("Waiting for the database: %s: %s", type(error).__name__, error)
            await asyncio.sleep(DATABASE_PAUSE_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
