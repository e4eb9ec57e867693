"""The client's calls about money: auto top-up, purchases, and what has become of them."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Any, Final

from client.answers import Answer, Grant, Page
from client.sending import Sender, in_path


class Keep(Enum):
    """What a setting is that is not named: left as it is."""

    LIMIT = "keep"


KEEP: Final = Keep.LIMIT
MonthlyLimit = int | None | Keep


class TopUpResult(Answer):
    """How the latest auto top-up stands. ``action_url`` is where the owner authenticates it, while that is possible."""

    operation_id: str
    state: str
    credits: int
    amount_cents: int
    currency: str
    at: datetime
    error: str | None = None
    message: str | None = None
    action_url: str | None = None


class AutoTopup(Answer):
    """An account's auto top-up: below ``threshold`` credits the balance is brought to ``target``.

    Both are None where none was ever chosen; ``monthly_limit_cents`` is None where there is no limit.
    ``monthly_spent_cents`` is what auto top-ups have cost since ``cycle_start``. ``disabled_reason`` says why it was
    switched off by itself; none begins before ``not_before``. ``sentence`` says what will happen, and ``warning``,
    where there is one, what is charged at once.
    """

    account_id: str
    enabled: bool
    threshold: int | None
    target: int | None
    monthly_limit_cents: int | None
    monthly_spent_cents: int
    currency: str
    cycle_start: datetime
    disabled_reason: str | None = None
    disabled_message: str | None = None
    disabled_at: datetime | None = None
    not_before: datetime | None = None
    sentence: str
    warning: str | None = None
    last_result: TopUpResult | None = None


class Payment(Answer):
    """A purchase, or an auto top-up, as ``kind`` says. It is ``paid`` once the credits are there, ``processing`` until
    then, ``requires-action`` while its owner has to go to ``checkout_url``, or ``failed``.

    ``error`` and ``message`` say why it failed. ``grant`` is what it has paid for; lists leave it out.
    """

    operation_id: str
    account_id: str
    kind: str = "purchase"
    credits: int
    amount_cents: int
    currency: str
    status: str
    checkout_url: str | None = None
    error: str | None = None
    message: str | None = None
    receipt_url: str | None = None
    created_at: datetime
    grant: Grant | None = None


class Purchase(Payment):
    """The answer to a purchase. ``replayed`` says that an earlier request has made it."""

    replayed: bool


class PurchaseOption(Answer):
    """A number of credits that people choose, and what it costs."""

    credits: int
    amount_cents: int


class PurchaseOptions(Answer):
    """What an account can buy: any number of credits from ``min_credits`` to ``max_credits``, or one of ``options``."""

    account_id: str
    min_credits: int
    max_credits: int
    currency: str
    options: list[PurchaseOption]


class PaymentCalls(Sender):
    """What the client can do about an account's money."""

    async def auto_topup(self, account_id: str) -> AutoTopup:
        """The account's auto top-up."""
        return await self._get(AutoTopup, _auto_topup_of(account_id))

    async def set_auto_topup(
        self,
        account_id: str,
        *,
        enabled: bool,
        threshold: int | None = None,
        target: int | None = None,
        monthly_limit_cents: MonthlyLimit = KEEP,
    ) -> AutoTopup:
        """Chooses auto top-up. On, it needs threshold and target, in credits; off, they stay as they were.

        ``monthly_limit_cents`` bounds what a cycle's auto top-ups cost: None is no limit, not named it stays. Switched
        on while the balance is below the threshold, it charges at once. Refused has the code
        ``auto-topup-no-payment-method`` where nothing could be charged.
        """
        body = auto_topup_choice(
            enabled=enabled, threshold=threshold, target=target, monthly_limit_cents=monthly_limit_cents
        )
        sent = await self._send("PUT", _auto_topup_of(account_id), body, repeatable=True)
        return AutoTopup.model_validate(sent.json())

    async def buy(self, account_id: str, *, operation_id: str, credits: int) -> Purchase:
        """Buys credits with the account's card, or by Stripe's page at ``checkout_url``. ``operation_id`` makes it safe
        to repeat, and names the payment and its grant: keep it. A card's refusal is the status ``failed``."""
        body = {"operationId": operation_id, "credits": credits}
        sent = await self._send("POST", _purchases_of(account_id), body, repeatable=True)
        return Purchase.model_validate(sent.json())

    async def purchase_options(self, account_id: str) -> PurchaseOptions:
        """What the account can buy, at its own price."""
        return await self._get(PurchaseOptions, f"/v1/accounts/{in_path(account_id)}/purchase-options")

    async def purchase(self, operation_id: str) -> Payment:
        """The payment that was made under this operation id, as it stands; auto top-ups have one, too."""
        return await self._get(Payment, f"/v1/purchases/{in_path(operation_id)}")

    async def purchases(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Payment]:
        """A page of the account's payments, purchases and auto top-ups, newest first."""
        return await self._get(Page[Payment], _purchases_of(account_id), limit=limit, cursor=cursor)

    async def all_purchases(self, account_id: str) -> AsyncGenerator[Payment, None]:
        """All of the account's payments, newest first, page by page."""
        cursor = None
        while True:
            page = await self.purchases(account_id, limit=200, cursor=cursor)
            for payment in page.data:
                yield payment
            cursor = page.next_cursor
            if cursor is None:
                return


def auto_topup_choice(
    *, enabled: bool, threshold: int | None, target: int | None, monthly_limit_cents: MonthlyLimit
) -> dict[str, Any]:
    """The choice on the wire: what is not named is left out."""
    chosen: dict[str, Any] = {"enabled": enabled, "threshold": threshold, "target": target}
    body = {name: value for name, value in chosen.items() if value is not None}
    if monthly_limit_cents is not KEEP:
        body["monthlyLimitCents"] = monthly_limit_cents
    return body


def _auto_topup_of(account_id: str) -> str:
    return f"/v1/accounts/{in_path(account_id)}/auto-topup"


def _purchases_of(account_id: str) -> str:
    return f"/v1/accounts/{in_path(account_id)}/purchases"
