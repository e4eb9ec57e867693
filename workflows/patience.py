"""How long we wait for whom, named once, with the reason."""

from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.common import RetryPolicy


@dataclass(frozen=True)
class Patience:
    """The timeouts and retries of one dependency; ``whole`` bounds all attempts together, None means for ever."""

    attempt: timedelta
    whole: timedelta | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)


# The ledger comes back: what has been begun is finished whenever it does. Refusals are not retried. It gives up a
# transaction by itself after 20 s (ledger.transaction.PATIENCE_SECONDS), with a reason; an attempt outlasts that.
LEDGER = Patience(
    attempt=timedelta(seconds=30),
    retry=RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=10)),
)

# Stripe is asked again through outages, at most every half minute, so that it is noticed soon when it is back.
STRIPE = Patience(
    attempt=timedelta(seconds=30),
    retry=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
)

# Stripe keeps an idempotency key for at least 24 hours: well before that we stop relying on it and look instead.
STRIPE_KEY_LIFE = timedelta(hours=20)

# Stripe's webhooks come within seconds. After this we ask Stripe ourselves, which costs one request.
WEBHOOK = timedelta(seconds=30)

# A stuck grant waits for an operator; once a day we look whether Stripe has it after all.
STUCK_LOOK = timedelta(days=1)

# After an unknown outcome and a look that found nothing: not at once, and less and less often.
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=5)

# A person waits for the answer to a new card; beyond this the request has long been told "outcome unknown".
CARDHOLDER = Patience(
    attempt=timedelta(seconds=30),
    whole=timedelta(minutes=10),
    retry=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)),
)

# Stripe's answer to a charge. Through an outage it is asked again for this long; then we look whether the charge was
# made, and whether its owner still wants it.
CHARGE = Patience(
    attempt=timedelta(seconds=30),
    whole=timedelta(minutes=10),
    retry=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
)

# A request waits ten seconds for its top-up (contract); who asks longer than that has long been refused.
IN_LINE = timedelta(seconds=12)

# A bank that has not answered takes minutes or days: it is asked again, less and less often.
FIRST_BANK_LOOK = timedelta(minutes=1)
LONGEST_BANK_LOOK = timedelta(hours=6)

# A hosted page or an authentication that its owner has left open: most pay within minutes, and Stripe closes its pages
# after a day. Where no webhook tells of it, Stripe is asked, and each pause is twice the one before.
OWNER_LOOK = timedelta(seconds=30)
LONGEST_OWNER_LOOK = timedelta(hours=1)
OWNER = timedelta(hours=25)

# Stripe tells of one refund by several events, and of many by a burst: what comes within so long is one reason to ask
# again. Where it never stops, each pause is twice the one before.
NEWS = timedelta(seconds=1)
LONGEST_NEWS = timedelta(seconds=30)

# A refund or dispute may be told before the payment's credits are given; those take as long as their bank does.
GRANT_LOOK = timedelta(seconds=10)
LONGEST_GRANT_LOOK = timedelta(hours=1)
GRANT = timedelta(days=14)

# A page of a sweep. What it does not do, the next tick does, so it is not repeated for long.
SWEEP = Patience(
    attempt=timedelta(minutes=5),
    retry=RetryPolicy(maximum_attempts=2),
)
SWEEP_HEARTBEAT = timedelta(seconds=60)
