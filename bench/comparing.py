"""Rows from sides that are measured in turns, round by round."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measuring import Sample
from bench.rows import Goal, Row

# A measurement of one round, by its number.
Measure = Callable[[int], Awaitable[Sample]]


@dataclass(frozen=True)
class Comparison:
    """A row to be: two sides by their names, the figure of a sample that is compared, and the goal.

    ``baseline_at_least`` is what the baseline must show for the row to mean anything; ``remark`` makes the row's note
    of our samples.
    """

    name: str
    what: str
    ours: str
    baseline: str
    baseline_name: str
    goal: Goal
    unit: str = "calls/s"
    figure: Callable[[Sample], float] = lambda sample: sample.rate
    baseline_at_least: float = 0.0
    remark: Callable[[Sequence[Sample]], str] = lambda samples: ""


async def compare(
    sides: Mapping[str, Measure],
    comparisons: Sequence[Comparison],
    wanted: Collection[str],
    *,
    rounds: int,
    say: Callable[[str], None],
) -> list[Row]:
    """The wanted rows: in every round each side that they need is measured once, in the order of ``sides``."""
    chosen = [each for each in comparisons if each.name in wanted]
    needed = {name for each in chosen for name in (each.ours, each.baseline)}
    samples: dict[str, list[Sample]] = {name: [] for name in sides if name in needed}
    for round_number in range(1, rounds + 1):
        for name in samples:
            sample = await sides[name](round_number)
            samples[name].append(sample)
            say(f"round {round_number}/{rounds} · {name}: {_in_words(sample)}")
    return [_row(each, samples) for each in chosen]


def _row(comparison: Comparison, samples: Mapping[str, Sequence[Sample]]) -> Row:
    baseline = [comparison.figure(sample) for sample in samples[comparison.baseline]]
    return Row(
        name=comparison.name,
        what=comparison.what,
        unit=comparison.unit,
        ours=[comparison.figure(sample) for sample in samples[comparison.ours]],
        baseline=baseline,
        baseline_name=comparison.baseline_name,
        goal=comparison.goal,
        note=comparison.remark(samples[comparison.ours]),
        cpu={"ours": _cpu_of(samples[comparison.ours]), "baseline": _cpu_of(samples[comparison.baseline])},
        kept=min(baseline) >= comparison.baseline_at_least,
    )


def _in_words(sample: Sample) -> str:
    cpu = f"CPU {_cpu(sample.caller_cpu, sample)} + {_cpu(sample.server_cpu, sample)} µs"
    words = f"{sample.rate:,.0f}/s, {sample.retries_a_call:.3f} retries a call, {sample.p50_milliseconds:.2f} ms, {cpu}"
    return f"{words}, p99 {sample.p99_milliseconds:.1f} ms" if sample.p99_milliseconds else words


def _cpu(seconds: float, sample: Sample) -> int:
    """Of a call, in microseconds."""
    return round(seconds / sample.total * 1_000_000)


def _cpu_of(samples: Sequence[Sample]) -> dict[str, int]:
    return {
        "caller": round(median(_cpu(sample.caller_cpu, sample) for sample in samples)),
        "server": round(median(_cpu(sample.server_cpu, sample) for sample in samples)),
    }
