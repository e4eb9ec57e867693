"""The shape of all wire models, and the kinds of fields that they share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from ledger.rules.limits import MAX_CREDITS_PER_OPERATION, MAX_HOLD_SECONDS


class Request(BaseModel):
    """What clients send: camelCase only, nothing beyond the known fields, nothing converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Answer(BaseModel):
    """What clients get, in camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=False, serialize_by_alias=True, frozen=True
    )


T = TypeVar("T")


class Page(Answer, Generic[T]):
    """A page of a list; ``next_cursor`` asks for the page after it and is null on the last one."""

    data: list[T]
    next_cursor: str | None


def _whole_number(minimum: int, maximum: int) -> BeforeValidator:
    def check(value: Any) -> int:
        # JSON's true is Python's 1, and 5.0 is a fraction that happens to be whole: neither counts credits.
        if type(value) is not int or not minimum <= value <= maximum:
            raise PydanticCustomError(
                "whole_number",
                "must be a whole number from {minimum} to {maximum}",
                {"minimum": minimum, "maximum": maximum},
            )
        return value

    return BeforeValidator(check)


def _integer_schema(minimum: int, maximum: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": minimum, "maximum": maximum})


def _is_whole_number(value: Any) -> int:
    if type(value) is not int:
        raise PydanticCustomError("whole_number", "must be a whole number")
    return value


# Of any size: for fields whose range depends on others, so that the ledger names it.
WholeNumber = Annotated[int, BeforeValidator(_is_whole_number), WithJsonSchema({"type": "integer"})]

Credits = Annotated[int, _whole_number(1, MAX_CREDITS_PER_OPERATION), _integer_schema(1, MAX_CREDITS_PER_OPERATION)]
CreditsOrNone = Annotated[
    int, _whole_number(0, MAX_CREDITS_PER_OPERATION), _integer_schema(0, MAX_CREDITS_PER_OPERATION)
]

_DECADE_SECONDS = 10 * 366 * 24 * 3600
Seconds = Annotated[int, _whole_number(1, _DECADE_SECONDS), _integer_schema(1, _DECADE_SECONDS)]

TtlSeconds = Annotated[int, _whole_number(1, MAX_HOLD_SECONDS), _integer_schema(1, MAX_HOLD_SECONDS)]

_BIGINT_MAX = 2**63 - 1
Seq = Annotated[int, _whole_number(0, _BIGINT_MAX), _integer_schema(0, _BIGINT_MAX)]


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _is_one_line(text: str) -> str:
    # Line breaks forge log lines, and PostgreSQL can't store a zero byte.
    if _CONTROL.search(text) or not text.strip():
        raise PydanticCustomError("one_line", "must be one line of text, without control characters, and not blank")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_one_line)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_is_one_line)]


def _is_email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise PydanticCustomError("email", "must be an e-mail address")
    return _is_one_line(text)


Email = Annotated[str, Field(min_length=3, max_length=320), AfterValidator(_is_email)]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _instant(value: Any) -> datetime:
    try:
        if not isinstance(value, str) or not _INSTANT.fullmatch(value):
            raise ValueError
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        example = "2027-01-31T12:00:00Z"
        raise PydanticCustomError(
            "instant", "must be an RFC 3339 instant with its offset, such as {example}", {"example": example}
        ) from None


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
