"""What can go wrong at Stripe, in the four families that decisions are made on, and the one place that sorts them.

https://docs.stripe.com/error-low-level says which answers are stored under an idempotency key and replayed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe


class StripeError(Exception):
    """The root. ``message`` is Stripe's sentence, ``code`` its code, both safe to show to an operator."""

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class StripeRefused(StripeError):
    """Stripe understood and said no. Asking the same again gives the same answer."""

    def __init__(
        self, message: str, *, code: str | None = None, status: int | None = None, decline_code: str | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.decline_code = decline_code


class StripeAuthenticationRequired(StripeRefused):
    """The bank wants to see the cardholder: only a payment on-session can go through."""


class StripeOutage(StripeError):
    """Stripe can't be reached, is busy (429), is still working on this key (409) or does not accept our secret key.
    The same call under the same idempotency key is safe, and is what to do."""


class StripeOutcomeUnknown(StripeError):
    """Stripe failed (5xx) with the work done or not. The failure may be stored under the key and replayed:
    look whether it was done, and only then try again, under the next key."""


@asynccontextmanager
async def our_errors() -> AsyncIterator[None]:
    """Turns whatever Stripe's library raises into one of our families."""
    try:
        yield
    except stripe.StripeError as error:
        raise _family_of(error) from error


def _family_of(error: stripe.StripeError) -> StripeError:
    message = error.user_message or str(error) or type(error).__name__
    status, code = error.http_status, error.code
    if status is None or status in (401, 403, 409, 429):
        return StripeOutage(message, code=code, status=status)
    if status >= 500:
        return StripeOutcomeUnknown(message, code=code, status=status)
    decline_code = getattr(error.error, "decline_code", None) if error.error else None
    if "authentication_required" in (code, decline_code):
        return StripeAuthenticationRequired(message, code=code, status=status, decline_code=decline_code)
    return StripeRefused(message, code=code, status=status, decline_code=decline_code)
