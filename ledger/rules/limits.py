"""The bounds of the ledger, each with its reason."""

# One amount, so that a slip of the keyboard is an error and not a debt.
MAX_CREDITS_PER_OPERATION = 10**12

# An account: every client that reads JSON numbers as doubles still reads its balance exactly (2^53 - 1).
MAX_CREDITS_PER_ACCOUNT = 2**53 - 1

MAX_OPERATION_ID_LENGTH = 128
MAX_DESCRIPTION_LENGTH = 500
MAX_REASON_LENGTH = 500
MAX_NAME_LENGTH = 200
MAX_EMAIL_LENGTH = 320
MAX_EXTERNAL_ID_LENGTH = 200

DEFAULT_FREE_CREDITS = 500
DEFAULT_DEBT_CAP = 100_000

# A hold lives this long at most, its extensions included: a client that forgets one blocks credits for a day.
MAX_HOLD_SECONDS = 24 * 3600
