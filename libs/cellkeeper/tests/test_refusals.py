"""A flood of garbage is one line at once and one a minute, and every message of it is counted."""

import asyncio

import structlog
from cellkeeper.runtime.refusals import RefusalLog
from cellkeeper.testing.patience import PATIENCE_S, until

BURST = 5000


async def lines_until(told: list[dict[str, object]], count: int) -> None:
    await until(lambda: len(told) >= count, f"{count} lines")


async def test_a_burst_is_two_lines_and_the_next_one_is_told_at_once():
    refusals = RefusalLog(summary_s=0.05)
    with structlog.testing.capture_logs() as told:
        for number in range(BURST):
            refusals.add(f"cellkeeper/v1/x/{number}" + "y" * 500, "no JSON" * 100)
        assert [line["event"] for line in told] == ["message.refused"]
        await lines_until(told, 2)
        assert told[1] == {
            "event": "message.still_refused",
            "log_level": "warning",
            "more": BURST - 1,
            "in_all": BURST,
            "last_topic": (f"cellkeeper/v1/x/{BURST - 1}" + "y" * 500)[:120],
            "last_why": ("no JSON" * 100)[:200],
        }
        await asyncio.sleep(0.15)
        assert len(told) == 2, "a quiet time is not told"
        refusals.add("cellkeeper/v1/x/late", "no JSON")
        assert told[2]["event"] == "message.refused"
    assert refusals.count == BURST + 1


async def test_a_lasting_flood_is_summed_up_again_and_again():
    refusals = RefusalLog(summary_s=0.02)
    with structlog.testing.capture_logs() as told:
        async with asyncio.timeout(PATIENCE_S):
            while len(told) < 4:
                refusals.add("t", "w")
                await asyncio.sleep(0)
    assert [line["event"] for line in told] == ["message.refused"] + ["message.still_refused"] * 3
    assert sum(int(line["more"]) for line in told[1:]) + 1 == told[3]["in_all"]
