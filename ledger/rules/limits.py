"""The bounds of the ledger, each with its reason."""

# One amount, so that a slip of the keyboard is an error and not a debt.
MAX_CREDITS_PER_OPERATION = 10**12

# An account: every client that reads JSON numbers as doubles still reads its balance exactly (2^53 - 1).
MAX_CREDITS_PER_ACCOUNT = 2**53 - 1

MAX_OPERATION_ID_LENGTH = 128
MAX_DESCRIPTION_LENGTH = 500
MAX_REASON_LENGTH = 500
# With what is put before and behind it, it is part of operation ids.
MAX_PAYMENT_ID_LENGTH = 100
MAX_NAME_LENGTH = 200
MAX_EMAIL_LENGTH = 320
MAX_EXTERNAL_ID_LENGTH = 200

DEFAULT_FREE_CREDITS = 500
DEFAULT_DEBT_CAP = 100_000

# A hold lives this long at most, its extensions included: a client that forgets one blocks credits for a day.
MAX_HOLD_SECONDS = 24 * 3600

# A purchase by a person. Less is not worth a card's fee, more is a slip of the keyboard.
MIN_PURCHASE_CREDITS = 500
MAX_PURCHASE_CREDITS = 100_000
# What people are offered to choose from, by the kind of account; whoever wants another number may have it.
PURCHASE_PRESETS = {"user": (1_000, 2_500, 5_000, 10_000), "organization": (10_000, 25_000, 50_000, 100_000)}

# What one auto top-up buys at most, while nobody watches, by the kind of account.
MAX_TOP_UP_CREDITS = {"user": 10_000, "organization": 100_000}
# A balance that is to be kept up may be ten times that; it is then bought in several top-ups.
TARGET_MAX_PURCHASES = 10
MAX_MONTHLY_LIMIT_CENTS = 100_000_000

# The card networks count declined attempts on a card (Visa 15 in 30 days, Mastercard 35): well before that we stop.
# https://docs.stripe.com/declines/card#network-rules
MAX_DECLINES_PER_CARD = 10
DECLINES_WITHIN_DAYS = 30
