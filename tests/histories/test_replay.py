"""The past still replays: every stored history of every workflow runs through today's code.

A history is stored by ``GRANTFLOW_RECORD_HISTORIES=1 pytest tests/workflows``. An old one is never recorded again:
a change of the order of commands goes behind ``workflow.patched`` and brings a history of its own.
"""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from messages import names
from tests.histories.changed import ChangedCreditGrantWorkflow
from worker import WORKFLOWS

HISTORIES = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    "history", sorted(HISTORIES.rglob("*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
async def test_the_past_still_replays(history: Path) -> None:
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(_stored(history))


async def test_a_changed_order_of_commands_is_caught() -> None:
    stored = HISTORIES / names.CREDIT_GRANT_WORKFLOW / "rollover_has_no_mirror.json"
    replayer = Replayer(workflows=[ChangedCreditGrantWorkflow], data_converter=pydantic_data_converter)
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(_stored(stored))


def _stored(history: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(history.stem, history.read_text())
