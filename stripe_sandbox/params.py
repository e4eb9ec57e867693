"""Descriptions of parameters, and the reading of a request by them: unknown, missing, malformed ones are refused.

One `Group` describes an endpoint's parameters; reading gives a plain dictionary with only what was sent. An empty
value asks Stripe to unset the field: it is read as None where the field allows that, and refused elsewhere.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox.errors import ApiError, wrong_parameter
from stripe_sandbox.forms import Node

Value = str | Node


class Param(ABC):
    """One parameter; `read` returns its value or raises Stripe's 400."""

    @abstractmethod
    def read(self, value: Value, name: str) -> Any:
        """Return the value of the parameter that is spelt `name`."""


def text_of(value: Value, name: str) -> str:
    """Return a scalar parameter's text, or refuse a nested one."""
    if isinstance(value, str):
        return value
    raise wrong_parameter(f"Invalid string: {name} must not be nested.", param=name)


@dataclass(frozen=True)
class Text(Param):
    """A string of at most `longest` characters, one of `choices` when there are any."""

    longest: int = 5000
    choices: tuple[str, ...] = ()
    unset: bool = False

    def read(self, value: Value, name: str) -> str | None:
        text = text_of(value, name)
        if not text:
            _check_unset(name, allowed=self.unset)
            return None
        if self.choices and text not in self.choices:
            listed = " or ".join(self.choices)
            raise wrong_parameter(f"Invalid {name}: must be one of {listed}", param=name)
        if len(text) > self.longest:
            message = f"Invalid string: {text[:20]}…; must be at most {self.longest} characters"
            raise wrong_parameter(message, param=name)
        return text


@dataclass(frozen=True)
class Url(Param):
    """An address that a browser can be sent to."""

    def read(self, value: Value, name: str) -> str:
        text = text_of(value, name)
        if re.fullmatch(r"https?://[^\s/]+[^\s]*", text) is None or len(text) > 5000:
            raise wrong_parameter("Not a valid URL", param=name, code="url_invalid")
        return text


@dataclass(frozen=True)
class Whole(Param):
    """A whole number from `least` to `most`, written in digits."""

    least: int
    most: int
    unset: bool = False

    def read(self, value: Value, name: str) -> int | None:
        text = text_of(value, name)
        if not text:
            _check_unset(name, allowed=self.unset)
            return None
        # int() would also take "1_000", " 7" and other scripts' digits.
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise _bad_integer(f"Invalid integer: {text[:40]}", name)
        number = int(text)
        if number < self.least:
            raise _bad_integer(f"This value must be greater than or equal to {self.least}.", name)
        if number > self.most:
            raise _bad_integer(f"This value must be less than or equal to {self.most}.", name)
        return number


@dataclass(frozen=True)
class Flag(Param):
    """`true` or `false`."""

    def read(self, value: Value, name: str) -> bool:
        text = text_of(value, name)
        if text not in ("true", "false"):
            raise wrong_parameter(f"Invalid boolean: {text[:40]}", param=name)
        return text == "true"


@dataclass(frozen=True)
class Items(Param):
    """A list of at most `most` values of one kind."""

    of: Param
    most: int

    def read(self, value: Value, name: str) -> list[Any]:
        if value == "":
            return []
        if isinstance(value, str) or not all(index.isdigit() for index in value):
            raise wrong_parameter(f"Invalid array: {name} must be a list.", param=name)
        if len(value) > self.most:
            raise wrong_parameter(f"Invalid array: {name} may have at most {self.most} values.", param=name)
        return [self.of.read(value[index], f"{name}[{index}]") for index in sorted(value, key=int)]


@dataclass(frozen=True)
class Metadata(Param):
    """Names and values of the caller's own. An empty value removes a name (None here), an empty whole all of them."""

    KEYS_MAX = 50
    KEY_LONGEST = 40
    VALUE_LONGEST = 500

    def read(self, value: Value, name: str) -> dict[str, str | None] | None:
        if value == "":
            return None
        if isinstance(value, str):
            raise wrong_parameter(f"Invalid object: {name} must be a set of keys and values.", param=name)
        if len(value) > self.KEYS_MAX:
            raise metadata_too_large(name)
        return {key: self._entry(key, text, name) for key, text in value.items()}

    def _entry(self, key: str, text: Value, name: str) -> str | None:
        where = f"{name}[{key}]"
        if len(key) > self.KEY_LONGEST:
            message = f"Metadata keys can have up to {self.KEY_LONGEST} characters. Your key is {len(key)} long."
            raise wrong_parameter(message, param=name)
        plain = text_of(text, where)
        if len(plain) > self.VALUE_LONGEST:
            message = (
                f"Metadata values can have up to {self.VALUE_LONGEST} characters. Your value is {len(plain)} long."
            )
            raise wrong_parameter(message, param=where)
        return plain or None


def metadata_too_large(name: str) -> ApiError:
    """More metadata keys than an object may hold."""
    return wrong_parameter(f"Metadata can have up to {Metadata.KEYS_MAX} keys.", param=name)


@dataclass(frozen=True)
class Group(Param):
    """Nested parameters; `required` ones must be there, others than `fields` are refused."""

    fields: Mapping[str, Param]
    required: tuple[str, ...] = ()

    def read(self, value: Value, name: str) -> dict[str, Any]:
        if isinstance(value, str):
            raise wrong_parameter(f"Invalid object: {name} must be nested.", param=name)
        unknown = [_inside(name, key) for key in value if key not in self.fields]
        if unknown:
            plural = "s" if len(unknown) > 1 else ""
            message = f"Received unknown parameter{plural}: {', '.join(unknown)[:500]}"
            raise wrong_parameter(message, param=unknown[0], code="parameter_unknown")
        for key in self.required:
            if key not in value:
                missing = _inside(name, key)
                raise wrong_parameter(f"Missing required param: {missing}.", param=missing, code="parameter_missing")
        return {key: self.fields[key].read(inner, _inside(name, key)) for key, inner in value.items()}


@dataclass(frozen=True)
class Period(Param):
    """A filter by instant (Unix seconds): exactly, or a group of `gt`, `gte`, `lt`, `lte`. Read as the latter."""

    instant: Whole = field(default_factory=lambda: Whole(0, 10**12))

    def read(self, value: Value, name: str) -> dict[str, int]:
        if isinstance(value, str):
            exactly = self.instant.read(value, name)
            return {} if exactly is None else {"gte": exactly, "lte": exactly}
        bounds = Group(dict.fromkeys(("gt", "gte", "lt", "lte"), self.instant))
        return bounds.read(value, name)


EXPAND: Mapping[str, Param] = {"expand": Items(Text(200), most=20)}
PAGING: Mapping[str, Param] = {
    "limit": Whole(1, 100),
    "starting_after": Text(),
    "ending_before": Text(),
    **EXPAND,
}


def _inside(group: str, key: str) -> str:
    return f"{group}[{key}]" if group else key


def _check_unset(name: str, *, allowed: bool) -> None:
    if not allowed:
        message = f"You passed an empty string for '{name}', which cannot be unset: leave it out or give it a value."
        raise wrong_parameter(message, param=name, code="parameter_invalid_empty")


def _bad_integer(message: str, name: str) -> ApiError:
    return wrong_parameter(message, param=name, code="parameter_invalid_integer")
