"""What the demo tells: titles, what each system says, and checks that hold or do not."""

from dataclasses import dataclass, field

from rich.console import Console

_SPEAKERS = {"ledger": "cyan", "stripe": "magenta", "temporal": "yellow", "socket": "blue", "api": "green"}


@dataclass
class Step:
    """One step of the story."""

    title: str
    says: list[dict[str, str]] = field(default_factory=list)
    checks: list[dict[str, object]] = field(default_factory=list)


class Report:
    """The story as it is told; `held` is true as long as every check was."""

    def __init__(self, *, console: Console) -> None:
        """Tell it on this console."""
        self._console = console
        self._steps: list[Step] = []

    @property
    def held(self) -> bool:
        """Whether there was a check, and every one held."""
        checks = [check for step in self._steps for check in step.checks]
        return bool(checks) and all(check["held"] for check in checks)

    def title(self, words: str) -> None:
        """Begin the next step."""
        self._steps.append(Step(words))
        self._console.print(f"\n[bold]{len(self._steps)}. {words}[/bold]", highlight=False)

    def says(self, who: str, words: object) -> None:
        """What a system says about the step: `ledger`, `stripe`, `temporal`, `socket` or `api`."""
        self._steps[-1].says.append({"who": who, "words": str(words)})
        colour = _SPEAKERS.get(who, "white")
        self._console.print(f"   [{colour}]{who:>8}[/{colour}]  ", end="")
        self._console.print(str(words), markup=False, highlight=False, soft_wrap=True)

    def check(self, words: str, *, held: bool, seen: object = None) -> None:
        """One check; `seen` is shown where it did not hold."""
        self._steps[-1].checks.append({"check": words, "held": held, "seen": None if seen is None else str(seen)})
        mark, colour = ("✓", "green") if held else ("✗", "bold red")
        shown = words if held or seen is None else f"{words} — seen: {seen}"
        self._console.print(f"          [{colour}]{mark}[/{colour}] ", end="")
        self._console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """The last line: how many checks held."""
        checks = [check for step in self._steps for check in step.checks]
        kept = sum(bool(check["held"]) for check in checks)
        colour = "green" if self.held else "bold red"
        self._console.print(f"\n[{colour}]{kept} of {len(checks)} checks held.[/{colour}]", highlight=False)

    def fields(self) -> dict[str, object]:
        """The whole story, for programs."""
        return {
            "held": self.held,
            "steps": [{"title": step.title, "says": step.says, "checks": step.checks} for step in self._steps],
        }
