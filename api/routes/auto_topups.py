"""Auto top-up's settings over HTTP."""

from fastapi import APIRouter

from api.auth import AsOwner, TheParts
from api.auto_topups import ShownAutoTopup, choose_auto_topup, show_auto_topup
from api.parts import Parts
from api.wire.auto_topups import AutoTopupFields, AutoTopupRequest, auto_topup_fields

router = APIRouter(prefix="/v1", tags=["auto top-up"])


@router.get("/accounts/{account_id}/auto-topup")
async def read_settings(account_id: str, parts: TheParts, _: AsOwner) -> AutoTopupFields:
    """The account's auto top-up: what was chosen, what it has cost in this cycle, and how the latest one ended."""
    return _answer(parts, await show_auto_topup(parts, account_id))


@router.put("/accounts/{account_id}/auto-topup")
async def put_settings(account_id: str, body: AutoTopupRequest, parts: TheParts, principal: AsOwner) -> AutoTopupFields:
    """Chooses auto top-up. Switched on while the balance is below the threshold, it charges at once; the answer's
    ``warning`` says so. 402 where nothing could be charged."""
    return _answer(parts, await choose_auto_topup(parts, account_id, body, by=principal.actor))


def _answer(parts: Parts, shown: ShownAutoTopup) -> AutoTopupFields:
    fields = auto_topup_fields(shown.settings, warning=shown.warning, public_url=parts.settings.public_url)
    return AutoTopupFields.model_validate(fields)
