"""Payers who have to authenticate: the page, where it leads, and what becomes of the payment."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from tests.sandbox.endpoint import SECRET
from tests.sandbox.paying import (
    RETURN_URL,
    charge,
    charge_of,
    declined,
    event_types,
    intent_of,
    redirect_of,
    submit,
    waiting_for_payer,
)
from tests.sandbox.serving import served
from tests.sandbox.standin import RecordingClient, StandIn


def query_of(answer: httpx.Response) -> dict[str, list[str]]:
    """Return the query of the address that an answer sends the browser to."""
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("http://127.0.0.1:8000/billing?")
    return parse_qs(urlsplit(answer.headers["location"]).query)


async def test_what_declined_without_its_owner_is_paid_with_the_owner_there(stand_in: StandIn) -> None:
    error = await declined(stand_in, "pm_card_authenticationRequired")
    assert (error["code"], error["payment_intent"]["status"]) == ("authentication_required", "requires_payment_method")
    waiting = await stand_in.client.v1.payment_intents.confirm_async(
        error["payment_intent"]["id"], {"payment_method": error["payment_method"]["id"], "return_url": RETURN_URL}
    )
    assert (waiting.status, waiting.latest_charge) == ("requires_action", error["charge"])
    answer = await submit(stand_in, redirect_of(waiting), outcome="complete")
    assert query_of(answer)["redirect_status"] == ["succeeded"]
    paid = await intent_of(stand_in, waiting.id)
    assert (paid.status, paid.amount_received, paid.next_action) == ("succeeded", 1_500, None)
    assert (await charge_of(stand_in, paid.id)).paid


async def test_the_page_asks_and_leads_back(stand_in: StandIn) -> None:
    waiting = await waiting_for_payer(stand_in)
    assert redirect_of(waiting) == f"{stand_in.url}/_sandbox/authenticate/{waiting.id}"
    page = await stand_in.http.get(redirect_of(waiting))
    assert "Complete authentication" in page.text
    assert "Fail authentication" in page.text
    assert "15.00 USD" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "form-action 'self' http://127.0.0.1:8000;" in policy
    answer = await submit(stand_in, redirect_of(waiting), outcome="complete")
    assert query_of(answer) == {
        "tab": ["cards"],
        "payment_intent": [waiting.id],
        "payment_intent_client_secret": [waiting.client_secret],
        "redirect_status": ["succeeded"],
    }
    told = await event_types(stand_in, "payment_intent.", "charge.")
    assert told == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_failing_leaves_the_intent_to_be_tried_again(stand_in: StandIn) -> None:
    waiting = await waiting_for_payer(stand_in)
    answer = await submit(stand_in, redirect_of(waiting), outcome="fail")
    assert query_of(answer)["redirect_status"] == ["failed"]
    failed = await intent_of(stand_in, waiting.id)
    assert failed.last_payment_error is not None
    assert (failed.status, failed.last_payment_error.code, failed.latest_charge) == (
        "requires_payment_method",
        "payment_intent_authentication_failure",
        None,
    )
    assert (await event_types(stand_in, "payment_intent."))[-1] == "payment_intent.payment_failed"


async def test_the_second_press_of_the_button_changes_nothing(stand_in: StandIn) -> None:
    waiting = await waiting_for_payer(stand_in)
    for outcome in ("complete", "fail"):
        answer = await submit(stand_in, redirect_of(waiting), outcome=outcome)
        assert query_of(answer)["redirect_status"] == ["succeeded"]
    assert (await event_types(stand_in, "charge.")) == ["charge.succeeded"]
    assert "does not wait" in (await stand_in.http.get(redirect_of(waiting))).text


async def test_without_a_return_address_the_payers_own_program_asks(stand_in: StandIn) -> None:
    waiting = await charge(stand_in, "pm_card_threeDSecure2Required", off_session=False)
    assert waiting.next_action is not None
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "use_stripe_sdk")
    page = f"{stand_in.url}/_sandbox/authenticate/{waiting.id}"
    assert "succeeded" in (await submit(stand_in, page, outcome="complete")).text
    assert (await intent_of(stand_in, waiting.id)).status == "succeeded"


async def test_pages_refuse_what_they_do_not_know(stand_in: StandIn) -> None:
    unknown = await stand_in.http.get(f"{stand_in.url}/_sandbox/authenticate/<b>")
    assert unknown.status_code == 404
    assert "&lt;b&gt;" in unknown.text
    waiting = await waiting_for_payer(stand_in)
    assert (await submit(stand_in, redirect_of(waiting), outcome="maybe")).status_code == 400
    assert (await submit(stand_in, redirect_of(waiting), outcome="x" * 20_000)).status_code == 413
    await stand_in.behave(outage=True)
    assert (await stand_in.http.get(redirect_of(waiting))).status_code == 503


async def test_pages_are_where_the_settings_say(
    tmp_path: Path, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> None:
    config = SandboxConfig(
        data_dir=tmp_path, webhook_url="http://127.0.0.1:9", webhook_secret=SECRET, public_url="https://pay.test/"
    )
    async with served(create_app(config)) as url:
        waiting = await waiting_for_payer(StandIn(url, http, stripe_transport))
        assert redirect_of(waiting) == f"https://pay.test/_sandbox/authenticate/{waiting.id}"
