"""A row of the results: what was compared, the figures of every round, and whether the goal is met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any


class GoalIs(StrEnum):
    """What a row's goal is held against."""

    RATIO_AT_LEAST = "ratio ≥"
    RATIO_AT_MOST = "ratio ≤"
    OURS_AT_MOST = "ours ≤"
    REPORTED = "reported"


@dataclass(frozen=True)
class Goal:
    """What a row must reach; ``stretch`` is what would be better still. None where a figure is only to be told."""

    kind: GoalIs
    value: float | None = None
    stretch: float | None = None


@dataclass(frozen=True)
class Row:
    """One comparison, by rounds: ``ours[i]`` and ``baseline[i]`` were measured one after the other.

    ``kept`` is whether what else the row demands was seen (a refusal, a baseline that does what it is there for).
    ``cpu``: microseconds of a core that a call took, for ``ours`` and ``baseline``, in ``caller`` and ``server``.
    """

    name: str
    what: str
    unit: str
    ours: Sequence[float]
    baseline: Sequence[float]
    baseline_name: str
    goal: Goal
    note: str = ""
    kept: bool = True
    cpu: Mapping[str, Mapping[str, int]] | None = None

    @property
    def ratio(self) -> float | None:
        """The median of ours by the median of the baseline's; None where that is no number."""
        return _ratio(median(self.ours), median(self.baseline))

    @property
    def met(self) -> bool:
        """Whether the goal is met by the medians."""
        if not self.kept:
            return False
        value, ratio = self.goal.value, self.ratio
        match self.goal.kind:
            case GoalIs.RATIO_AT_LEAST:
                return value is not None and ratio is not None and ratio >= value
            case GoalIs.RATIO_AT_MOST:
                return value is not None and ratio is not None and ratio <= value
            case GoalIs.OURS_AT_MOST:
                return value is not None and median(self.ours) <= value
            case GoalIs.REPORTED:
                return True

    def fields(self) -> dict[str, Any]:
        """The row as ``results.json`` has it; ``spread`` is the range of the rounds' own ratios."""
        ratios = [_ratio(ours, baseline) for ours, baseline in zip(self.ours, self.baseline, strict=True)]
        known = [ratio for ratio in ratios if ratio is not None]
        fields: dict[str, Any] = {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "ours": rounded(median(self.ours)),
            "baseline": rounded(median(self.baseline)),
            "baselineName": self.baseline_name,
            "ratio": None if self.ratio is None else rounded(self.ratio),
            "goal": self.goal.value,
            "goalIs": str(self.goal.kind),
            "met": self.met,
            "rounds": len(self.ours),
            "spread": [rounded(min(known)), rounded(max(known))] if known else None,
            "oursRange": [rounded(min(self.ours)), rounded(max(self.ours))],
            "baselineRange": [rounded(min(self.baseline)), rounded(max(self.baseline))],
        }
        if self.goal.stretch is not None:
            fields["stretch"] = self.goal.stretch
        if self.cpu is not None:
            fields["cpuMicrosecondsACall"] = self.cpu
        if self.note:
            fields["note"] = self.note
        return fields


def _ratio(ours: float, baseline: float) -> float | None:
    return ours / baseline if baseline else None


def rounded(figure: float) -> float:
    """A figure with the digits that mean something."""
    return round(figure) if abs(figure) >= 1000 else float(f"{figure:.4g}")
