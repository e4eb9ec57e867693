"""The payloads of the sweeps, which finish what a crash or an outage left behind."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SweepReport:
    """What one sweep found and did; ``left`` is still to do and comes again with the next tick."""

    done: int = 0
    left: int = 0
    failed: int = 0


@dataclass(frozen=True)
class SweepsReport:
    """One tick of the Schedule ``sweeps``, room by room."""

    inbox: SweepReport
    customers: SweepReport
    mirrors: SweepReport
    closings: SweepReport
    due: SweepReport = field(default_factory=SweepReport)
    notices: SweepReport = field(default_factory=SweepReport)
    top_ups: SweepReport = field(default_factory=SweepReport)
