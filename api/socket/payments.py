"""What the messages about money do: auto top-up is chosen, credits are bought. Both for the connection's account."""

from api.auth import Holder
from api.auto_topups import choose_auto_topup
from api.calls import new_call
from api.parts import Parts
from api.purchasing import purchase_once, shown_payment
from api.socket.messages import AutoTopupResponse, PurchaseResponse
from api.socket.requests import BuyCredits, SetAutoTopup
from api.wire.auto_topups import auto_topup_fields


async def choose_top_ups(parts: Parts, account_id: str, message: SetAutoTopup) -> AutoTopupResponse:
    """Writes the settings and answers with them. Raises what ``api/auto_topups.py`` does."""
    shown = await choose_auto_topup(parts, account_id, message, by=Holder(account_id).actor)
    fields = auto_topup_fields(shown.settings, warning=shown.warning, public_url=parts.settings.public_url)
    return AutoTopupResponse.model_validate(fields | {"request_id": message.request_id})


async def buy_credits(parts: Parts, account_id: str, message: BuyCredits) -> PurchaseResponse:
    """Buys the credits, once for an operation id. Raises what ``api/purchasing.py`` does."""
    request_id = new_call(message.request_id).call_id
    purchased = await purchase_once(
        parts, message.order(account_id, actor=Holder(account_id).actor, request_id=request_id)
    )
    fields = await shown_payment(parts, purchased.payment)
    more = {"request_id": message.request_id, "replayed": not purchased.created}
    return PurchaseResponse.model_validate(fields | more)
