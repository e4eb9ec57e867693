"""Stripe's request encoding: forms with nested names, `metadata[order]=1`, `expand[]=customer`, `prices[0][id]=p`."""

import re
from urllib.parse import parse_qsl

from stripe_sandbox.errors import wrong_parameter

Flat = list[tuple[str, str]]
# A list arrives as a node whose names are its indexes: only the parameter's own description knows which it is.
Node = dict[str, "str | Node"]

FIELDS_MAX = 1_000
DEPTH_MAX = 6
NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def read_form(encoded: bytes) -> Flat:
    """Return the names and values of a form body or query string, in their order.

    Raises:
        ApiError: 400 for bytes that are no UTF-8 and for more than 1,000 fields.
    """
    try:
        return parse_qsl(encoded.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeDecodeError as broken:
        raise wrong_parameter("Invalid request: the parameters are not valid UTF-8.", param=None) from broken
    except ValueError as too_many:
        raise wrong_parameter(f"Invalid request: more than {FIELDS_MAX} parameters.", param=None) from too_many


def flat_object(fields: Flat) -> dict[str, str | list[str]]:
    """Return the fields as one object, for the request log; a name that came several times has a list."""
    merged: dict[str, str | list[str]] = {}
    for name, value in fields:
        if name not in merged:
            merged[name] = value
            continue
        before = merged[name]
        merged[name] = [*before, value] if isinstance(before, list) else [before, value]
    return merged


def nest(fields: Flat) -> Node:
    """Turn bracketed names into nested nodes.

    Raises:
        ApiError: 400 for a malformed name, too deep nesting, or a name that is both a value and a group.
    """
    root: Node = {}
    for name, value in fields:
        *parents, last = _steps(name)
        node = root
        for step in parents:
            child = node.setdefault(_index(node, step), {})
            if isinstance(child, str):
                raise _malformed(name)
            node = child
        key = _index(node, last)
        if isinstance(node.get(key), dict):
            raise _malformed(name)
        node[key] = value
    return root


def _steps(name: str) -> list[str]:
    matched = NAME.match(name)
    if matched is None:
        raise _malformed(name)
    steps = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
    if len(steps) > DEPTH_MAX:
        raise _malformed(name)
    return steps


def _index(node: Node, step: str) -> str:
    """`[]` means the next index."""
    return step if step else str(len(node))


def _malformed(name: str) -> Exception:
    return wrong_parameter(f"Invalid request: the parameter '{name[:100]}' cannot be read.", param=name[:100])
