"""What a charge's `receipt_url` leads to."""

from starlette.responses import Response

from stripe_sandbox.endpoint import Call
from stripe_sandbox.hosted import html
from stripe_sandbox.objects import CHARGES


def show(call: Call) -> Response:
    """Show what was paid, and what of it was refunded."""
    charge = call.sandbox.objects.get(CHARGES, call.path["charge"], param="charge", in_path=True).body
    lines = [f"Paid: {html.money(charge['amount'], charge['currency'])}"]
    if charge["description"]:
        lines.append(charge["description"])
    if charge["amount_refunded"]:
        lines.append(f"Refunded: {html.money(charge['amount_refunded'], charge['currency'])}")
    return html.page("Receipt", *(html.paragraph(line) for line in [*lines, charge["id"]]))
