"""The supervisor, on real processes: small programs in place of the parts."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from local.process_ids import ProcessId
from local.records import PartRecord
from local.running import end_leftovers
from local.state import DataDir
from tests.local.helpers import small_stack, soon


async def test_steps_start_in_order_and_parts_end_in_reverse(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "good", "good") as stack:
        await stack.ready()
        assert stack.journal == ["first started", "job done", "second started", "third started"]
        assert stack.running() == ["first", "second", "third"]
        pids = [stack.pid(name) for name in ("first", "second", "third")]

        code, said = await stack.end()

        assert (code, stack.journal[4:]) == (0, ["third ended", "second ended", "first ended"]), said
        assert [pid for pid in pids if ProcessId.of(pid)] == []
        assert stack.data_dir.read_run() is None


async def test_a_part_that_dies_is_started_again_and_counted(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "good") as stack:
        await stack.ready()
        killed, other = stack.pid("first"), stack.pid("second")

        os.kill(killed, signal.SIGKILL)
        await soon(lambda: stack.run.parts["first"].restarts == 1 and stack.run.parts["first"].state == "running")

        first = stack.run.parts["first"]
        assert (first.last_exit, stack.running()) == (-signal.SIGKILL, ["first", "second"])
        assert (stack.pid("first") != killed, stack.pid("second"), stack.run.parts["second"].restarts) == (
            True,
            other,
            0,
        )


async def test_a_part_that_keeps_dying_is_tried_again_with_longer_pauses(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "falls") as stack:
        await stack.ready()
        loop = asyncio.get_running_loop()
        times: list[float] = []
        for count in (1, 2, 3, 4):
            await soon(lambda: stack.run.parts["second"].restarts >= count)  # noqa: B023 (awaited at once)
            times.append(loop.time())

        assert times[3] - times[2] > times[1] - times[0]
        assert stack.run.parts["second"].last_exit == 7
        code, said = await stack.end()
        assert code == 0, said


async def test_ctrl_c_reaches_the_supervisor_alone_which_ends_the_parts_in_order(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "good") as stack:
        await stack.ready()
        os.killpg(stack.process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        code, said = await stack.ended()
        assert (code, stack.journal[3:]) == (0, ["second ended", "first ended"]), said


async def test_a_killed_supervisor_takes_its_parts_along_and_the_next_one_starts(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "stubborn") as stack:
        await stack.ready()
        stack.process.kill()
        await stack.ended()
        await soon(lambda: stack.running() == [])

    with small_stack(tmp_path, "good", "good") as following:
        await following.ready()
        assert following.running() == ["first", "second"]


async def test_what_a_killed_run_left_behind_is_ended_and_a_stranger_is_not(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good") as stack:
        await stack.ready()
        run = stack.run
        await stack.end()
    left, stranger = (_sleeper() for _ in range(2))
    try:
        left_id = ProcessId.of(left.pid)
        recycled = ProcessId(pid=stranger.pid, started="long ago")
        parts = {"first": PartRecord(url="", process=left_id), "second": PartRecord(url="", process=recycled)}
        data_dir = DataDir(tmp_path)
        data_dir.write_run(run.model_copy(update={"parts": parts}))

        waiting = asyncio.create_task(asyncio.to_thread(left.wait))
        assert await end_leftovers(data_dir, lambda _: None) == ["first"]

        assert await waiting == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for process in (left, stranger):
            process.kill()
            process.communicate()


async def test_a_part_that_will_not_end_is_killed_and_complained_of(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "stubborn") as stack:
        await stack.ready()
        code, said = await stack.end()
        assert (code, "second did not end in order (exit code -9)" in said) == (1, True), said
        assert stack.journal[-1] == "first ended"


async def test_an_abort_at_exit_after_a_requested_stop_is_accepted_of_a_process_with_the_temporal_sdk(
    tmp_path: Path,
) -> None:
    with small_stack(tmp_path, "aborts") as stack:
        await stack.ready()
        code, said = await stack.end()
        assert (code, stack.journal[-1]) == (0, "first ended"), said


async def test_a_part_that_cannot_start_ends_the_others_and_names_its_log(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good", "fails") as stack:
        code, said = await stack.ended()
        assert code == 3
        assert f"second ended with exit code 1; see {tmp_path / 'logs' / 'second.log'}" in said
        assert "cannot go on" in said
        assert stack.journal[-1] == "first ended"
        assert stack.run.phase == "failed"


async def test_two_supervisors_never_share_a_data_folder(tmp_path: Path) -> None:
    with small_stack(tmp_path, "good") as stack:
        await stack.ready()
        with small_stack(tmp_path, "good") as second:
            code, said = await second.ended()
            assert (code, "in use by another process" in said) == (1, True), said
        assert stack.running() == ["first"]


def _sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
