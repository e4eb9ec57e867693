"""The page on which a checkout session is paid, with a test payment method."""

from starlette.responses import Response

from stripe_sandbox.endpoint import Call
from stripe_sandbox.hosted import html
from stripe_sandbox.objects import Stored
from stripe_sandbox.resources import checkout_flow
from stripe_sandbox.resources.payment_flow import intent_of
from stripe_sandbox.resources.samples import SAMPLES

TITLE = "Checkout"
# What the page offers; its form takes every other test payment method too.
OFFERED = {
    "pm_card_visa": "Visa 4242: pays",
    "pm_card_chargeCustomerFail": "Visa 0341: is declined",
    "pm_card_authenticationRequired": "Visa 3184: asks you to authenticate",
    "pm_usBankAccount_success": "Bank account 6789: takes days to pay",
    "pm_card_chargeCustomerFailLostCard": "Visa 9987: is declined, as it was reported lost",
    "pm_link": "Link: pays",
}


def show(call: Call) -> Response:
    """Show the session, or send the browser on when it is paid."""
    session = checkout_flow.session_of(call, call.path["session"])
    closed = _closed(session)
    if closed is not None:
        return closed
    intent = session.body["payment_intent"]
    error = None if intent is None else intent_of(call, intent).body["last_payment_error"]
    return _page(call, session, "" if error is None else error["message"])


def submit(call: Call, form: dict[str, str]) -> Response:
    """Pay with what the payer chose, or go back without paying."""
    session = checkout_flow.session_of(call, call.path["session"])
    closed = _closed(session)
    if closed is not None:
        return closed
    if form.get("action") == "cancel":
        if session.body["cancel_url"] is None:
            return _page(call, session, "This checkout has no page to go back to.")
        return html.see_other(session.body["cancel_url"])
    wanted = form.get("payment_method", "")
    if wanted not in SAMPLES or SAMPLES[wanted].type not in session.body["payment_method_types"]:
        return _page(call, session, "Choose a payment method.", status=400)
    intent = checkout_flow.pay(call, session, wanted)
    if intent["next_action"] is not None:
        return html.see_other(intent["next_action"]["redirect_to_url"]["url"])
    if intent["status"] == "requires_payment_method":
        return _page(call, session, intent["last_payment_error"]["message"], status=402)
    return html.see_other(checkout_flow.success_url(session.body))


def _closed(session: Stored) -> Response | None:
    """Return what a session that is not open any more leads to."""
    if session.body["status"] == "complete":
        return html.see_other(checkout_flow.success_url(session.body))
    if session.body["status"] == "expired":
        back = session.body["cancel_url"]
        links = [] if back is None else [html.link(back, "Go back")]
        return html.page("This checkout has expired", *links, status=410)
    return None


def _page(call: Call, session: Stored, message: str, *, status: int = 200) -> Response:
    body = session.body
    offered = {each: text for each, text in OFFERED.items() if SAMPLES[each].type in body["payment_method_types"]}
    buttons = [html.button("action", "pay", f"Pay {html.money(body['amount_total'], body['currency'])}", main=True)]
    if body["cancel_url"] is not None:
        buttons.append(html.button("action", "cancel", "Cancel"))
    return html.page(
        TITLE,
        *(html.paragraph(name) for name in session.hidden["names"]),
        html.paragraph(html.money(body["amount_total"], body["currency"])),
        *([html.paragraph(message, look="error")] if message else []),
        html.form(html.radios("Pay with", "payment_method", offered, next(iter(offered))), *buttons),
        status=status,
        leads_to=[call.base_url, *(url for url in (body["success_url"], body["cancel_url"]) if url is not None)],
    )
