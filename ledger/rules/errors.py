"""What the ledger refuses. Each error carries its numbers as fields and says them in one sentence.

The names in ``code`` are the ones that go over the wire; the HTTP status belongs to ``api/``.
"""

from typing import ClassVar


class LedgerError(Exception):
    """The root of everything that the ledger refuses. ``retryable`` says whether the same request may succeed later."""

    code: ClassVar[str] = "refused"
    retryable: ClassVar[bool] = False


class UnknownAccount(LedgerError):
    """No account has this id."""

    code = "unknown-account"

    def __init__(self, account_id: str) -> None:
        super().__init__(f"There is no account {account_id!r}.")
        self.account_id = account_id


class UnknownGrant(LedgerError):
    """No grant was made under this operation id."""

    code = "not-found"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is no grant with the operation id {operation_id!r}.")
        self.operation_id = operation_id


class IdempotencyConflict(LedgerError):
    """The operation id has been used for something else."""

    code = "idempotency-conflict"

    def __init__(self, operation_id: str) -> None:
        super().__init__(
            f"The operation id {operation_id!r} was used before with another payload. "
            "Send the first payload again to get its answer, or take a new id."
        )
        self.operation_id = operation_id


class PaymentAlreadyGranted(LedgerError):
    """The payment has given a grant before: one payment gives at most one."""

    code = "idempotency-conflict"

    def __init__(self, payment_id: str) -> None:
        super().__init__(f"The payment {payment_id!r} has given its credits under another operation id.")
        self.payment_id = payment_id


class UnknownPayment(LedgerError):
    """No grant was made for this payment, or none yet."""

    code = "not-found"

    def __init__(self, payment_id: str) -> None:
        super().__init__(f"There is no grant that the payment {payment_id!r} paid for.")
        self.payment_id = payment_id


class InvalidOrder(LedgerError):
    """A field of the request is outside what the rules allow."""

    code = "invalid-request"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class LimitExceeded(LedgerError):
    """The account would hold more than an account may."""

    code = "limit-exceeded"

    def __init__(self, what: str, *, limit: int, would_be: int) -> None:
        super().__init__(f"{what} would be {would_be}, and the limit is {limit}.")
        self.what = what
        self.limit = limit
        self.would_be = would_be


class ExternalIdConflict(LedgerError):
    """The external id belongs to an account of the other kind."""

    code = "idempotency-conflict"

    def __init__(self, external_id: str, kind: str) -> None:
        super().__init__(
            f"The external id {external_id!r} belongs to an account of kind {kind!r}. Take another external id."
        )
        self.external_id = external_id
        self.kind = kind


class InsufficientCredits(LedgerError):
    """The account can't pay. ``available`` is what it could pay under the policy that was asked for, room for debt
    included; ``remaining_balance`` is what it can spend."""

    code = "insufficient-credits"

    def __init__(self, *, needed: int, available: int, remaining_balance: int) -> None:
        super().__init__(
            f"{needed} credits are needed and {available} are available. Nothing was taken: "
            "add credits, or ask for less."
        )
        self.needed = needed
        self.available = available
        self.remaining_balance = remaining_balance


class UnknownHold(LedgerError):
    """The account has no hold of this operation id."""

    code = "not-found"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is no hold with the operation id {operation_id!r}.")
        self.operation_id = operation_id


class HoldClosed(LedgerError):
    """The hold is over, and this can't be done to it any more."""

    code = "hold-closed"

    def __init__(self, operation_id: str, *, state: str) -> None:
        super().__init__(f"The hold {operation_id!r} is {state}; nothing was changed. Place a new hold, or consume.")
        self.operation_id = operation_id
        self.state = state


class HoldOfAnother(LedgerError):
    """The hold was made with the other kind of token, and only that kind may settle, extend or release it; or it is a
    freeze, which only the system may end."""

    code = "forbidden"

    def __init__(self, operation_id: str, *, made_by: str) -> None:
        who = {
            "admin": "with the admin's token; only that may change it",
            "account": "with the account's own token; only that may change it",
            "system": "for a disputed payment; it ends with the dispute",
        }
        super().__init__(f"The hold {operation_id!r} was made {who[made_by]}.")
        self.operation_id = operation_id


class NoPaymentMethod(LedgerError):
    """The account has no payment method that could be charged, so that auto top-up can't be switched on."""

    code = "auto-topup-no-payment-method"

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem} Add a card that is valid, then switch auto top-up on again; nothing was changed.")


class UnknownPurchase(LedgerError):
    """No payment was made under this operation id."""

    code = "not-found"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"There is no payment with the operation id {operation_id!r}.")
        self.operation_id = operation_id


class StageForbids(LedgerError):
    """The grant's mirror is at a stage at which this can't be done."""

    code = "stage-forbids"

    def __init__(self, operation_id: str, *, stage: str, wanted: str) -> None:
        super().__init__(f"The grant {operation_id!r} is {stage}; to {wanted} it must be open.")
        self.operation_id = operation_id
        self.stage = stage
        self.wanted = wanted


class LedgerUnavailable(LedgerError):
    """The database does not answer, or refused the transaction too often. Nothing is known to be written."""

    code = "service-unavailable"
    retryable = True

    def __init__(self, what: str, *, attempts: int, reason: str) -> None:
        super().__init__(
            f"The ledger could not finish {what!r} in {attempts} attempts ({reason}). "
            "Repeat the request with the same operation id: it has one effect, however often it is sent."
        )
        self.what = what
        self.attempts = attempts
        self.reason = reason


class Overloaded(LedgerError):
    """More requests wait than the process takes on, or more than one account's share of them. Nothing was written."""

    code = "service-unavailable"
    retryable = True

    def __init__(self, *, waiting: int) -> None:
        super().__init__(
            f"{waiting} requests are waiting already, and this one was not taken on; nothing was written. "
            "Repeat it after a moment with the same operation id."
        )
        self.waiting = waiting
