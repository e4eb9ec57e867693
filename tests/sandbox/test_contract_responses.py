"""Whatever the stand-in answers or posts, Stripe could have: its OpenAPI document describes it."""

import time
from pathlib import Path

import pytest

from tests.sandbox.drive import use_everything
from tests.sandbox.endpoint import Endpoint
from tests.sandbox.schemas import Specification
from tests.sandbox.standin import StandIn


@pytest.fixture(scope="module")
def specification(stripe_spec: Path) -> Specification:
    """Stripe's own description of its answers."""
    return Specification(stripe_spec)


async def test_every_answer_fits_its_operation(stand_in: StandIn, specification: Specification) -> None:
    await use_everything(stand_in, int(time.time()))
    exchanges = stand_in.transport.exchanges
    assert {exchange.status for exchange in exchanges} == {200, 400, 402, 404}
    for exchange in exchanges:
        wrong = specification.errors(exchange.method, exchange.path, exchange.status, exchange.body)
        assert not wrong, f"{exchange.method} {exchange.path} {exchange.status}: {wrong}"


async def test_every_event_fits_and_so_does_its_object(
    stand_in: StandIn, endpoint: Endpoint, specification: Specification
) -> None:
    await use_everything(stand_in, int(time.time()))
    for event in await stand_in.look("objects/events"):
        assert not specification.component_errors("event", event)
        subject = event["data"]["object"]
        assert not specification.component_errors(subject["object"], subject), event["type"]


def test_the_document_would_have_noticed(specification: Specification) -> None:
    grant = {"id": "credgr_1", "object": "billing.credit_grant", "nickname": "Ada", "livemode": "no", "priority": None}
    wrong = " ".join(specification.component_errors("billing.credit_grant", grant))
    assert "'amount' is a required property" in wrong
    assert "'nickname' was unexpected" in wrong
    assert "'no' is not of type 'boolean'" in wrong
    assert "priority" not in wrong
