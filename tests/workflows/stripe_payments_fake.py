"""Stripe's payments as a typed fake: it keeps its idempotency keys, can be away, and does as it is told."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from temporalio.exceptions import ApplicationError

from messages.checkouts import CheckoutId, CheckoutPage, CheckoutRequest
from messages.customers import PaymentMethod
from messages.payment_steps import PaymentStripeSteps
from messages.payments import (
    Authentication,
    Cancellation,
    ChargeRequest,
    ChosenMethod,
    Decline,
    FoundPayment,
    MethodQuestion,
    PaymentIntentId,
    PaymentKind,
    PaymentQuestion,
    PaymentStatus,
    StripePayment,
)
from messages.reversals import PaymentStanding
from tests.workflows.fakes import outage, refused, stored_500

GOOD_CARD = PaymentMethod("pm_good", "card", "visa", "4242", 12, 2099)
BAD_CARD = PaymentMethod("pm_bad", "card", "visa", "0002", 12, 2099)

NO = Decline("Your card was declined.", code="card_declined", decline_code="generic_decline")
AUTHENTICATE = Decline(
    "Your card was declined. This transaction requires authentication.",
    code="authentication_required",
    decline_code="authentication_required",
    authentication_required=True,
)

# What a card answers: a payment at this status, with a no where it is one.
Answer = tuple[PaymentStatus, Decline | None]

SUCCEEDS: Answer = (PaymentStatus.SUCCEEDED, None)
DECLINES: Answer = (PaymentStatus.DECLINED, NO)
WANTS_AUTHENTICATION: Answer = (PaymentStatus.DECLINED, AUTHENTICATE)
REDIRECTS: Answer = (PaymentStatus.REQUIRES_ACTION, None)
PROCESSES: Answer = (PaymentStatus.PROCESSING, None)

# A step of the script: what becomes of one charge.
Step = Callable[["FakePaymentStripe", ChargeRequest], StripePayment]


class FakePaymentStripe(PaymentStripeSteps):
    """Answers charges from ``script``, oldest first, and as the card does once that is empty.

    A key answers for ever as it did the first time. While ``away``, nothing is answered and nothing is done.
    """

    def __init__(self) -> None:
        self.away = False
        self.charges_away = False
        self.methods: list[PaymentMethod] = [GOOD_CARD]
        self.cards: dict[str, Answer] = {GOOD_CARD.payment_method_id: SUCCEEDS, BAD_CARD.payment_method_id: DECLINES}
        self.script: list[Step] = []
        self.intents: dict[str, StripePayment] = {}
        self.pages: dict[str, CheckoutPage] = {}
        self.checkouts: list[CheckoutRequest] = []
        self.standings: dict[str, PaymentStanding] = {}
        self.charges: list[ChargeRequest] = []
        self.authentications: list[Authentication] = []
        self.on_session: Answer = REDIRECTS
        self.canceled: list[str] = []
        self.looks = 0
        self.asked = 0
        self.on_charge: Callable[[ChargeRequest], None] = _nothing
        self.on_standing: Callable[[], Awaitable[None]] = _nothing_for_a_while
        self.on_choice: Callable[[], None] = _nothing
        self._answered: dict[str, StripePayment | ApplicationError] = {}

    @property
    def keys_used(self) -> list[str]:
        """The keys of all charges that were tried, each once, in their order."""
        return list(dict.fromkeys(request.idempotency_key for request in self.charges))

    @property
    def made(self) -> StripePayment:
        """The one payment that there is."""
        (payment,) = self.intents.values()
        return payment

    def becomes(self, status: PaymentStatus, *, decline: Decline | None = None, disputed: bool = False) -> None:
        """The one payment moves at Stripe."""
        self.intents[self.made.payment_intent_id] = _moved(self.made, status, decline, disputed=disputed)

    def becomes_paid(self) -> None:
        """The one payment succeeds at Stripe."""
        self.becomes(PaymentStatus.SUCCEEDED)

    def make(self, request: ChargeRequest, answer: Answer = SUCCEEDS) -> StripePayment:
        """The payment of the request, as Stripe has it afterwards."""
        status, decline = answer
        made = StripePayment(
            payment_intent_id=f"pi_{len(self.intents) + 1}",
            status=status,
            operation_id=request.operation_id,
            amount_cents=request.amount_cents,
            received_cents=0,
            receipt_url=f"https://pay.stripe.example/receipts/{len(self.intents) + 1}",
            payment_method_id=request.payment_method_id,
        )
        made = _moved(made, status, decline)
        self.intents[made.payment_intent_id] = made
        return made

    async def choose_payment_method(self, question: MethodQuestion) -> ChosenMethod:
        self._answer()
        usable = [method for method in self.methods if method.payment_method_id not in question.blocked]
        self.on_choice()
        return ChosenMethod(usable[0] if usable else None)

    async def charge(self, request: ChargeRequest) -> StripePayment:
        self.charges.append(request)
        if self.charges_away:
            raise outage()
        self._answer()
        key = request.idempotency_key
        if key not in self._answered:
            self.on_charge(request)
            try:
                self._answered[key] = self._charged(request)
            except ApplicationError as error:
                if not error.non_retryable:
                    raise
                self._answered[key] = error
        answered = self._answered[key]
        if isinstance(answered, ApplicationError):
            raise answered
        return answered

    async def find_payment(self, question: PaymentQuestion) -> FoundPayment:
        self._answer()
        self.looks += 1
        found = [each for each in self.intents.values() if each.operation_id == question.operation_id]
        return FoundPayment(found[-1] if found else None)

    async def retrieve_payment(self, payment: PaymentIntentId) -> StripePayment:
        self._answer()
        self.asked += 1
        if payment.payment_intent_id not in self.intents:
            raise refused("No such payment_intent")
        return self.intents[payment.payment_intent_id]

    async def cancel_payment(self, cancellation: Cancellation) -> StripePayment:
        self._answer()
        self.canceled.append(cancellation.idempotency_key)
        if len(self.canceled) == 1:
            # Under this key it answers so for a day, done or not.
            raise stored_500()
        stands = self.intents[cancellation.payment_intent_id]
        if stands.status not in (PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING):
            self.intents[stands.payment_intent_id] = _moved(stands, PaymentStatus.CANCELED, None)
        return self.intents[stands.payment_intent_id]

    async def authenticate_payment(self, authentication: Authentication) -> StripePayment:
        self._answer()
        self.authentications.append(authentication)
        status, decline = self.on_session
        moved = _moved(self.intents[authentication.payment_intent_id], status, decline)
        self.intents[moved.payment_intent_id] = moved
        return moved

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        self._answer()
        self.checkouts.append(request)
        page = CheckoutPage("cs_1", "open", "https://checkout.stripe.example/cs_1", None)
        return self.pages.setdefault(page.checkout_session_id, page)

    async def retrieve_checkout(self, checkout: CheckoutId) -> CheckoutPage:
        self._answer()
        return self.pages[checkout.checkout_session_id]

    async def retrieve_standing(self, payment: PaymentIntentId) -> PaymentStanding:
        self._answer()
        standing = self.standings[payment.payment_intent_id]
        await self.on_standing()
        return standing

    def pay_page(self, answer: Answer = SUCCEEDS) -> None:
        """The owner completes the hosted page."""
        (request,) = self.checkouts
        made = self.make(_as_charge(request), answer)
        self.pages["cs_1"] = replace(
            self.pages["cs_1"], status="complete", url=None, payment_intent_id=made.payment_intent_id
        )

    def expire_page(self) -> None:
        """Stripe closes the hosted page after a day."""
        self.pages["cs_1"] = replace(self.pages["cs_1"], status="expired", url=None)

    def _answer(self) -> None:
        if self.away:
            raise outage()

    def _charged(self, request: ChargeRequest) -> StripePayment:
        if self.script:
            return self.script.pop(0)(self, request)
        return self.make(request, self.cards[request.payment_method_id])


def does_nothing_and_fails(_: FakePaymentStripe, __: ChargeRequest) -> StripePayment:
    """Answers 500 with nothing done, and says so again under this key."""
    raise stored_500()


def does_it_and_fails(stripe: FakePaymentStripe, request: ChargeRequest) -> StripePayment:
    """Does the work, and answers 500."""
    stripe.make(request, stripe.cards[request.payment_method_id])
    raise stored_500()


def brings_less(stripe: FakePaymentStripe, request: ChargeRequest) -> StripePayment:
    """Somebody has changed the payment: half of it comes."""
    made = replace(stripe.make(request), received_cents=request.amount_cents // 2)
    stripe.intents[made.payment_intent_id] = made
    return made


def refuses(_: FakePaymentStripe, __: ChargeRequest) -> StripePayment:
    """Does not like the request."""
    raise refused("No such customer")


def _moved(
    payment: StripePayment, status: PaymentStatus, decline: Decline | None, *, disputed: bool = False
) -> StripePayment:
    redirects = status is PaymentStatus.REQUIRES_ACTION
    return replace(
        payment,
        status=status,
        decline=decline,
        received_cents=payment.amount_cents if status is PaymentStatus.SUCCEEDED else 0,
        redirect_url="https://hooks.stripe.example/authenticate" if redirects else None,
        disputed_or_refunded=disputed,
    )


def _as_charge(request: CheckoutRequest) -> ChargeRequest:
    return ChargeRequest(
        operation_id=request.operation_id,
        account_id=request.account_id,
        kind=PaymentKind.PURCHASE,
        credits=request.credits,
        amount_cents=request.amount_cents,
        currency=request.currency,
        stripe_customer_id=request.stripe_customer_id,
        payment_method_id="pm_page",
        idempotency_key=request.idempotency_key,
        off_session=False,
    )


def _nothing(*_: object) -> None:
    """Nothing happens on the way."""


async def _nothing_for_a_while() -> None:
    """The same for those who would wait for it."""
