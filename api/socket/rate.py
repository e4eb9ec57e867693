"""How fast one connection may send."""

MESSAGES_PER_SECOND = 200


class TokenBucket:
    """A second's worth of messages, filled up again as time goes by. The caller says what time it is, in seconds."""

    def __init__(self, per_second: float, *, now: float) -> None:
        self._per_second = per_second
        self._tokens = per_second
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Takes one token; False when there is none."""
        self._tokens = min(self._per_second, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
