"""The Temporal worker's composition root: settings → engine, gateways, activities → Worker. Wiring only."""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.grant_ledger import GrantLedger
from activities.grant_stripe import GrantStripe
from activities.payment_ledger import PaymentLedger
from activities.payment_methods import PaymentMethodLedger, PaymentMethodStripe
from activities.payment_stripe import PaymentStripe
from activities.sweeps import Sweeps
from activities.time_sweeps import NOTICE_DAYS, TimeSweeps
from gateways.run import run_process
from gateways.stripe.gateway import StripeGateway
from gateways.temporal.connection import TemporalAddress, connect
from gateways.temporal.flows import Flows
from gateways.temporal.namespace import prepare_namespace
from ledger.transaction import open_engine, refuse_weaker_isolation
from messages.names import TASK_QUEUE
from settings import Settings, load_settings
from workflows.auto_topup import AutoTopupWorkflow
from workflows.credit_grant import CreditGrantWorkflow
from workflows.customer import CustomerWorkflow
from workflows.payment_method import PaymentMethodWorkflow
from workflows.payment_reversal import PaymentReversalWorkflow
from workflows.purchase import PurchaseWorkflow
from workflows.sweeps import SweepsWorkflow

WORKFLOWS = (
    AutoTopupWorkflow,
    CreditGrantWorkflow,
    CustomerWorkflow,
    PaymentMethodWorkflow,
    PaymentReversalWorkflow,
    PurchaseWorkflow,
    SweepsWorkflow,
)

# After a worker is killed, its workflows wait so long for it before another worker gets them.
STICKY_TIMEOUT = timedelta(seconds=5)
# Stripe calls in flight are let finish when the worker is asked to stop.
GRACE = timedelta(seconds=10)


def build_worker(
    client: Client,
    engine: AsyncEngine,
    stripe: StripeGateway,
    *,
    interceptors: Sequence[Interceptor] = (),
    notice_days: Sequence[int] = NOTICE_DAYS,
    public_url: str = "",
) -> Worker:
    """A worker with every workflow and activity that we have.

    ``notice_days``: so many days before long-lived grants expire, their owners are told. ``public_url`` is where our
    own pages are, for people who pay or authenticate.
    """
    grant_ledger, grant_stripe = GrantLedger(engine), GrantStripe(stripe)
    method_ledger, method_stripe = PaymentMethodLedger(engine), PaymentMethodStripe(stripe)
    payment_ledger = PaymentLedger(engine, public_url=public_url)
    payment_stripe = PaymentStripe(stripe, public_url=public_url)
    sweeps, time_sweeps = Sweeps(engine, stripe, Flows(client)), TimeSweeps(engine, notice_days=notice_days)
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=[
            grant_ledger.create_local_grant,
            grant_ledger.prepare_mirror,
            grant_ledger.renew_mirror_key,
            grant_ledger.change_stage,
            grant_ledger.spent_mirrors,
            grant_ledger.record_closing,
            grant_ledger.prepare_customer,
            grant_ledger.renew_customer_key,
            grant_ledger.record_customer,
            grant_stripe.create_stripe_customer,
            grant_stripe.create_stripe_grant,
            grant_stripe.find_stripe_grant,
            grant_stripe.retrieve_stripe_grant,
            grant_stripe.close_stripe_grant,
            method_stripe.attach_payment_method,
            method_stripe.set_default_payment_method,
            method_ledger.record_payment_method,
            payment_ledger.open_top_up,
            payment_ledger.still_wanted,
            payment_ledger.open_purchase,
            payment_ledger.read_payment,
            payment_ledger.renew_payment_key,
            payment_ledger.blocked_methods,
            payment_ledger.record_payment,
            payment_ledger.record_canceled,
            payment_ledger.switch_off,
            payment_ledger.give_notice,
            payment_ledger.reverse_payment,
            payment_stripe.choose_payment_method,
            payment_stripe.charge,
            payment_stripe.find_payment,
            payment_stripe.retrieve_payment,
            payment_stripe.authenticate_payment,
            payment_stripe.cancel_payment,
            payment_stripe.open_checkout,
            payment_stripe.retrieve_checkout,
            payment_stripe.retrieve_standing,
            sweeps.deliver_inbox,
            sweeps.start_top_ups,
            sweeps.create_missing_customers,
            sweeps.pump_mirrors,
            sweeps.close_mirrors,
            time_sweeps.book_due,
            time_sweeps.give_expiry_notices,
        ],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules("messages")
        ),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        interceptors=interceptors,
    )


async def run(settings: Settings, *, interceptors: Sequence[Interceptor] = ()) -> None:
    """Runs the worker until it is asked to stop (SIGINT or SIGTERM)."""
    async with AsyncExitStack() as parts:
        engine = open_engine(settings.sqlalchemy_url)
        parts.push_async_callback(engine.dispose)
        stripe = StripeGateway(
            settings.stripe_secret_key.get_secret_value(),
            api_base=settings.stripe_api_base,
            metered_price=settings.stripe_metered_price,
        )
        parts.push_async_callback(stripe.close)
        await refuse_weaker_isolation(engine)
        client = await connect(_temporal(settings), metrics_port=settings.worker_metrics_port)
        await prepare_namespace(client)
        stop = asyncio.Event()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
        days = settings.expiry_notice_days
        pages = settings.reached_at
        async with build_worker(client, engine, stripe, interceptors=interceptors, notice_days=days, public_url=pages):
            print("worker ready", flush=True)  # noqa: T201 - the supervisor waits for this line
            await stop.wait()


def _temporal(settings: Settings) -> TemporalAddress:
    api_key = settings.temporal_api_key
    return TemporalAddress(
        address=settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=None if api_key is None else api_key.get_secret_value(),
        tls=settings.temporal_tls,
    )


def main() -> None:
    """``python -m worker``."""
    argparse.ArgumentParser(prog="python -m worker", description=__doc__).parse_args()
    settings = load_settings()
    run_process(lambda: run(settings))


if __name__ == "__main__":
    main()
