"""Notices on the wire: what an account's owner is told, in data and in a sentence."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from api.wire.base import Answer
from ledger.store.notices import EXPIRY, Notice


class Notification(Answer):
    """Something to tell: ``message`` is for people, ``kind`` and ``details`` are for programs. ``noticeId`` tells a
    notice that comes twice from a second one."""

    notice_id: str
    kind: str
    at: datetime
    message: str
    details: dict[str, Any]

    @classmethod
    def of(cls, notice: Notice) -> "Notification":
        """The notice on the wire."""
        return cls.model_validate(_fields(notice))


class NoticeAnswer(Notification):
    """The same, and when it was told; null as long as it waits for ``init``."""

    told_at: datetime | None

    @classmethod
    def of(cls, notice: Notice) -> "NoticeAnswer":
        """The notice in a list."""
        return cls.model_validate(_fields(notice) | {"told_at": notice.told_at})


def _fields(notice: Notice) -> dict[str, Any]:
    say = _SENTENCES.get(notice.kind, _own_sentence)
    return {
        "notice_id": str(notice.notice_id),
        "kind": notice.kind,
        "at": notice.created_at,
        "message": say(notice.payload),
        "details": notice.payload,
    }


def _expiry_sentence(payload: dict[str, Any]) -> str:
    end = datetime.fromisoformat(payload["expiresAt"])
    return (
        f"{payload['credits']:,} {payload['type']} credits expire on {end:%Y-%m-%d} at {end:%H:%M} UTC, "
        "unless they are spent before."
    )


def _own_sentence(payload: dict[str, Any]) -> str:
    return str(payload.get("message", ""))


# A kind that is not listed brings its sentence along, as ``message`` of its payload.
_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {EXPIRY: _expiry_sentence}


def notice_key(notice_id: int) -> int:
    """The key in a cursor; raises ValueError for what is none."""
    if type(notice_id) is not int or not 0 <= notice_id < 2**63:
        raise ValueError("not the key of a notice")
    return notice_id
