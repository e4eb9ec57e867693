"""What can go wrong at Stripe, in the four families that decisions are made on, and the one place that sorts them.

https://docs.stripe.com/error-low-level says which answers are stored under an idempotency key and replayed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import stripe

# A proxy's page of HTML would fill an operator's screen and a workflow's history.
MESSAGE_LONGEST = 500


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
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        decline_code: str | None = None,
        advice_code: str | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.decline_code = decline_code
        self.advice_code = advice_code


class StripeAuthenticationRequired(StripeRefused):
    """The bank wants to see the cardholder: only a payment on-session can go through."""


class StripeOutage(StripeError):
    """Stripe can't be reached (or something on the way refuses in its place), is busy (429), is still working on this
    key (409) or does not accept our secret key. The same call under the same idempotency key is safe, and is what
    to do."""


class StripeOutcomeUnknown(StripeError):
    """Stripe failed (5xx, or an answer that can't be read) with the work done or not; or the key has been used with
    other parameters, by a call of which we know nothing. The failure may be stored under the key and replayed: look
    whether it was done, and only then try again, under the next key."""


@asynccontextmanager
async def our_errors() -> AsyncIterator[None]:
    """Turns whatever Stripe's library raises into one of our families."""
    try:
        yield
    except stripe.StripeError as error:
        raise family_of(error) from error
    except (AttributeError, KeyError, TypeError) as error:
        # The library trips over JSON that is not Stripe's, such as a proxy's {"error": "Bad gateway"}.
        raise StripeOutcomeUnknown(f"Stripe's answer can't be read ({error}).") from error


def family_of(error: stripe.StripeError) -> StripeError:
    """The one of our families that an error of the library's belongs to."""
    told, status = told_by(error), error.http_status
    code, decline_code = told.get("code"), told.get("decline_code")
    message = (error.user_message or type(error).__name__)[:MESSAGE_LONGEST]
    if status is None or status in (401, 403, 408, 409, 429) or (not told and 400 <= status < 500):
        return StripeOutage(message, code=code, status=status)
    if not 400 <= status < 500 or status == 424 or isinstance(error, stripe.IdempotencyError):
        return StripeOutcomeUnknown(message, code=code, status=status)
    needs_cardholder = "authentication_required" in (code, decline_code)
    refusal = StripeAuthenticationRequired if needs_cardholder else StripeRefused
    return refusal(message, code=code, status=status, decline_code=decline_code, advice_code=told.get("advice_code"))


def told_by(error: stripe.StripeError) -> dict[str, Any]:
    """What Stripe itself says in the body; empty where something on the way answered.

    The library's own ``code`` is None for most of its classes. All of it is Stripe's, and stays in this package: a
    payment in it carries its client secret.
    """
    body = error.json_body
    told = body.get("error") if isinstance(body, dict) else None
    return told if isinstance(told, dict) else {}
