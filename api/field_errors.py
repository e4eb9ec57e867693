"""What is wrong with the fields of a request, in words that name the field and its range."""

from collections.abc import Mapping, Sequence
from typing import Any

# Our own checks say the whole sentence; the values that they were given are never repeated to the caller.
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "string_unicode": "must be valid Unicode",
    "model_attributes_type": "must be a JSON object; send it with Content-Type: application/json",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
}


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The validation errors as ``{field, problem, minimum?, maximum?}``."""
    return [_field_error(error) for error in errors]


def one_sentence(errors: Sequence[Mapping[str, Any]]) -> str:
    """All of them in one line for people."""
    return "; ".join(f"{error['field']} {error['problem']}" for error in errors)


def _field_error(error: Mapping[str, Any]) -> dict[str, Any]:
    context = error.get("ctx", {})
    sentence = _SENTENCES.get(error["type"])
    problem = sentence.format(**context) if sentence is not None else str(error["msg"])
    ranges = {name: context[name] for name in ("minimum", "maximum") if name in context}
    return {"field": _field(error["loc"]), "problem": problem, **ranges}


def _field(location: Sequence[int | str]) -> str:
    """``credits`` rather than ``body.credits``: clients know where they put it."""
    names = [str(part) for part in location]
    if len(names) > 1 and names[0] in ("body", "query", "path", "header"):
        names = names[1:]
    return ".".join(names) or "body"
