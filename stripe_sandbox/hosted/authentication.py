"""The page on which a payer passes or fails the bank's check, as that of 3-D Secure."""

from starlette.responses import Response

from stripe_sandbox.endpoint import Call
from stripe_sandbox.errors import Json
from stripe_sandbox.hosted import html
from stripe_sandbox.resources import checkout_flow, payment_flow

TITLE = "Authenticate your payment"
REDIRECT_STATUS = {"succeeded": "succeeded", "processing": "pending"}


def show(call: Call) -> Response:
    """Ask the payer."""
    intent = payment_flow.intent_of(call, call.path["intent"]).body
    if intent["status"] != "requires_action":
        return _nothing_to_do()
    return html.page(
        TITLE,
        html.paragraph(f"Your bank asks whether you want to pay {html.money(intent['amount'], intent['currency'])}."),
        html.form(
            html.button("outcome", "complete", "Complete authentication", main=True),
            html.button("outcome", "fail", "Fail authentication"),
        ),
        leads_to=_leads_to(call, intent),
    )


def decide(call: Call, form: dict[str, str]) -> Response:
    """Take the payer's answer and send the browser back."""
    intent = payment_flow.intent_of(call, call.path["intent"])
    return_url = intent.hidden.get("return_url")
    if intent.body["status"] == "requires_action":
        outcome = form.get("outcome")
        if outcome not in ("complete", "fail"):
            return html.page(TITLE, html.paragraph("Choose one of the two buttons.", look="error"), status=400)
        after = payment_flow.authenticate(call, intent, passed=outcome == "complete")
        checkout_flow.follow(call, after)
    else:
        # The button was pressed twice: the second answer is that of the first.
        after = intent.body
    if return_url is None:
        return html.page(TITLE, html.paragraph(f"The payment is now: {after['status']}. You can close this page."))
    return html.see_other(return_url, _told(after))


def _told(intent: Json) -> dict[str, str]:
    return {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": REDIRECT_STATUS.get(intent["status"], "failed"),
    }


def _leads_to(call: Call, intent: Json) -> list[str]:
    """Return where the browser may be sent: back, and, from a checkout's page, on from there."""
    redirect: Json = intent["next_action"].get("redirect_to_url") or {}
    session = checkout_flow.session_of_intent(call, intent["id"])
    back = [redirect["return_url"]] if redirect else []
    return back if session is None else [*back, session.body["success_url"]]


def _nothing_to_do() -> Response:
    return html.page(
        TITLE, html.paragraph("This payment does not wait for an authentication. You can close this page.")
    )
