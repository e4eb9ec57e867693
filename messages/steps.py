"""The base of every family of steps: workflows see the signatures, activities implement them."""

from abc import ABC
from typing import Any

from temporalio import activity


class Steps(ABC):  # noqa: B024 - its families declare the methods
    """A family of activities, declared as an abstract class whose methods carry ``@activity.defn``.

    A subclass implements the methods. The wire name belongs to the declaration, not to the
    implementation, so it is carried over here: an override without the decorator would be refused by the
    Worker, and one decorated again without the name would silently register another activity.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            declared = _declared_name(cls, name)
            if declared is not None and _wire_name(method) is None:
                activity.defn(name=declared)(method)


def _declared_name(cls: type, method_name: str) -> str | None:
    for base in cls.__mro__[1:]:
        declared = _wire_name(vars(base).get(method_name))
        if declared is not None:
            return declared
    return None


def _wire_name(method: object) -> str | None:
    definition = getattr(method, "__temporal_activity_definition", None)
    name: str | None = getattr(definition, "name", None)
    return name
