"""What waits to be sent on one connection, and what the connection was last told of each balance.

Every message passes here, in the order in which it is sent; so ``prevSeq`` is always the ``seq`` of the message about
that account that was sent before. Pushes that wait for a slow reader are merged; answers are not, and are bounded.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from api.metrics import PUSHES
from api.socket.messages import UsageResponse, to_text
from api.wire.balances import balance_fields
from api.wire.base import Answer
from ledger.balances import Balance

WAITING_MAX = 256
# Notices are rare. What a reader that takes nothing misses waits for its next ``init``.
NOTICES_WAITING_MAX = 100
# So many of those that were told are remembered, so that none is told again on the same connection.
NOTICES_KNOWN_MAX = 1000

# Makes the message of a balance and of the seq that was told before.
Telling = Callable[[Balance, int], Answer]
# Hears whether the message was sent.
Settle = Callable[[bool], None]


@dataclass
class _Told:
    """What the connection knows of an account; ``said`` is False until the connection has really been sent it."""

    balance: Balance
    said: bool = False


@dataclass(frozen=True)
class _BalanceAnswer:
    balance: Balance
    from_seq: int | None
    telling: Telling
    settle: Settle | None = None


@dataclass(frozen=True)
class NoticePush:
    """A notice that is told unasked, with a balance that was read after it.

    ``tells_balance`` says that the message has the whole balance, so that it is a link of the account's chain.
    """

    notice_id: int
    balance: Balance
    telling: Telling
    tells_balance: bool
    settle: Settle | None = None


@dataclass(frozen=True)
class Frame:
    """A text frame on its way. Whoever has sent it, or could not, says so to ``settle``."""

    text: str
    settle: Settle | None = None


@dataclass(frozen=True)
class Closing:
    """The connection is to be closed, with a close code of RFC 6455 and a reason for people."""

    code: int
    reason: str


class Outbox:
    """The messages of one connection on their way out."""

    def __init__(self, *, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._answers: deque[Answer | _BalanceAnswer] = deque()
        self._notices: deque[NoticePush] = deque()
        self._known_notices: dict[int, None] = {}
        self._pushes: dict[str, Balance] = {}
        self._told: dict[str, _Told] = {}
        self._closing: Closing | None = None
        self._changed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether the reader is too slow for what it asks."""
        return len(self._answers) >= self._waiting_max

    def begin(self, balance: Balance) -> None:
        """Takes the balance for known: what is pushed is what changes after it."""
        self._told[balance.account_id] = _Told(balance)

    def answer(self, message: Answer) -> None:
        """Sends an answer after those that wait."""
        self._answers.append(message)
        self._changed.set()

    def answer_balance(
        self, balance: Balance, telling: Telling, *, from_seq: int | None = None, settle: Settle | None = None
    ) -> None:
        """Sends an answer that tells of a balance. ``from_seq`` is the seq that the client knows from before.

        ``telling`` is called just before the answer is sent, and ``settle`` after it was, or could not be; neither is
        where the connection ends before its turn.
        """
        self._answers.append(_BalanceAnswer(balance, from_seq, telling, settle))
        self._changed.set()

    def push(self, balance: Balance) -> None:
        """Sends the balance when its turn comes, unless it is known by then; a newer one takes its place."""
        waiting = self._pushes.get(balance.account_id)
        if waiting is None or waiting.seq < balance.seq:
            self._pushes[balance.account_id] = balance
            self._changed.set()

    def push_notice(self, push: NoticePush) -> None:
        """Sends the notice when its turn comes, unless this connection was told it before."""
        if len(self._notices) < NOTICES_WAITING_MAX:
            self._notices.append(push)
            self._changed.set()

    def is_news(self, notice_id: int) -> bool:
        """Whether the connection is told of the notice for the first time; from now on it is not."""
        if notice_id in self._known_notices:
            return False
        if len(self._known_notices) >= NOTICES_KNOWN_MAX:
            del self._known_notices[next(iter(self._known_notices))]
        self._known_notices[notice_id] = None
        return True

    @property
    def is_closing(self) -> bool:
        """Whether ``close`` was called."""
        return self._closing is not None

    def close(self, closing: Closing) -> None:
        """Closes the connection after what waits."""
        self._closing = closing
        self._changed.set()

    async def next(self) -> Frame | Closing:
        """The next frame to send, or the end."""
        while True:
            if self._answers:
                return self._render(self._answers.popleft())
            # Ahead of the plain balances: where the notice tells the whole balance, those are known by then.
            while self._notices:
                push = self._notices.popleft()
                if self.is_news(push.notice_id):
                    return self._tell_notice(push)
            while self._pushes:
                _, balance = self._pushes.popitem()
                if not self._is_known(balance):
                    PUSHES.inc()
                    return self._tell(_BalanceAnswer(balance, None, _push))
            if self._closing is not None:
                return self._closing
            self._changed.clear()
            await self._changed.wait()

    def _render(self, item: Answer | _BalanceAnswer) -> Frame:
        return self._tell(item) if isinstance(item, _BalanceAnswer) else Frame(to_text(item))

    def _is_known(self, balance: Balance) -> bool:
        told = self._told.get(balance.account_id)
        return told is not None and balance.seq <= told.balance.seq

    def _tell_notice(self, push: NoticePush) -> Frame:
        if push.tells_balance:
            return self._tell(_BalanceAnswer(push.balance, None, push.telling, push.settle))
        told = self._told.get(push.balance.account_id)
        newest = push.balance if told is None or told.balance.seq < push.balance.seq else told.balance
        return Frame(to_text(push.telling(newest, newest.seq)), push.settle)

    def _tell(self, answer: _BalanceAnswer) -> Frame:
        told = self._told.get(answer.balance.account_id) or _Told(answer.balance)
        # A push may have overtaken this read: nobody is told less than was said before.
        newest = answer.balance if answer.balance.seq >= told.balance.seq else told.balance
        prev_seq = told.balance.seq
        if not told.said and answer.from_seq is not None:
            prev_seq = min(answer.from_seq, newest.seq)
        self._told[newest.account_id] = _Told(newest, said=True)
        return Frame(to_text(answer.telling(newest, prev_seq)), answer.settle)


def _push(balance: Balance, prev_seq: int) -> UsageResponse:
    return UsageResponse.model_validate(balance_fields(balance, prev_seq=prev_seq))
