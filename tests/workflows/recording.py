"""Stores the histories that the replay test replays."""

import json
import os
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

HISTORIES = Path(__file__).resolve().parent.parent / "histories"

# A run with this variable stores the history of every case that has none. The files are committed.
RECORD = "GRANTFLOW_RECORD_HISTORIES"


async def store_history(handle: WorkflowHandle[Any, Any], workflow: str, case: str) -> None:
    """Writes the case's history, if that is asked for and it is not there: what is recorded stays as it was."""
    target = HISTORIES / workflow / f"{case}.json"
    if not os.environ.get(RECORD) or target.exists():
        return
    history = json.loads((await handle.fetch_history()).to_json())
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(_without_this_machine(history), indent=1) + "\n")


def _without_this_machine(part: Any) -> Any:
    """The history without stack traces and process names, which tell of this machine and are never replayed."""
    if isinstance(part, dict):
        return {
            key: _without_this_machine(value) for key, value in part.items() if key not in ("stackTrace", "identity")
        }
    return [_without_this_machine(each) for each in part] if isinstance(part, list) else part
