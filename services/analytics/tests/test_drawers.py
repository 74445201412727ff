"""Papers drawn by children: many records at once, and what a child that fails, dies or hangs takes with it."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from analytics import drawers as module
from analytics.dossier.record_file import save_record
from analytics.drawers import Drawers, many
from cellkeeper.testing.patience import until
from dossier_room import Room, basis_of

FEW = Room(units=6, samples=60)


@pytest.fixture
def records(tmp_path: Path) -> list[Path]:
    return [save_record(tmp_path / "events", basis_of(FEW, string=f"s{n}")) for n in range(5)]


def children() -> set[int]:
    """Return the ids of the children of this process that draw; one may be gone while it is looked at."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            for pid in (task / "children").read_text().split():
                if b"analytics.dossier" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
    return found


async def test_many_are_drawn_by_few_and_none_is_left(tmp_path: Path, records: list[Path]):
    drawers, seen = Drawers(tmp_path / "out", most=2), set()

    async def watched(record: Path):
        drawn = await drawers.draw(record)
        seen.update(children())
        return drawn

    async with asyncio.timeout(300.0):
        found = await asyncio.gather(*(watched(record) for record in records))
    assert [drawn.failed for drawn in found] == [""] * 5
    assert {Path(drawn.files[0]).stem for drawn in found} == {record.stem for record in records}
    assert len(list((tmp_path / "out").iterdir())) == sum(len(drawn.files) for drawn in found) == 20
    assert 1 <= len(seen) <= 2, "two children for five papers"
    assert not children()


async def test_a_damaged_record_costs_its_own_paper_alone(tmp_path: Path, records: list[Path]):
    records[1].with_suffix(".npz").write_bytes(b"damaged")
    drawers = Drawers(tmp_path / "out", most=1)
    async with asyncio.timeout(300.0):
        found = await asyncio.gather(*(drawers.draw(record) for record in records[:3]))
    assert [bool(drawn.failed) for drawn in found] == [False, True, False]
    assert "take both files from the backup" in found[1].failed


async def test_a_child_that_is_killed_is_followed_by_another(tmp_path: Path, records: list[Path]):
    drawers = Drawers(tmp_path / "out", most=1)
    async with asyncio.timeout(300.0):
        first = asyncio.create_task(drawers.draw(records[0]))
        second = asyncio.create_task(drawers.draw(records[1]))
        await until(children, "a child")
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        assert "its process ended with -9" in (await first).failed
        assert not (await second).failed


async def test_one_that_hangs_is_ended(tmp_path: Path, records: list[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAW_DEADLINE_S", 0.0)
    drawers = Drawers(tmp_path / "out", most=1)
    async with asyncio.timeout(300.0):
        assert "not drawn within" in (await drawers.draw(records[0])).failed
        await until(lambda: not children(), "no child any more")


async def test_who_is_cancelled_leaves_no_child(tmp_path: Path, records: list[Path]):
    drawers = Drawers(tmp_path / "out", most=2)
    async with asyncio.timeout(300.0):
        tasks = [asyncio.create_task(drawers.draw(record)) for record in records]
        await until(lambda: len(children()) == 2, "two children")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not children(), "each was waited for"


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, records: list[Path]):
    (tmp_path / "out").write_text("in the way")
    assert "FileExistsError" in (await Drawers(tmp_path / "out").draw(records[0])).failed


def test_there_are_no_more_than_processors():
    assert 1 <= many() <= len(os.sched_getaffinity(0))


async def test_who_is_cancelled_while_a_child_starts_leaves_none(tmp_path: Path, records: list[Path]):
    for turns in range(8):
        drawing = asyncio.create_task(Drawers(tmp_path / "out", most=1).draw(records[0]))
        for _ in range(turns):  # at another place of the start each time
            await asyncio.sleep(0)
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        assert drawing.cancelled()
        assert not children()
