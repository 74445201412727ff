"""Records on disk: what the newest knows of earlier ones, and that the whole of a discharge replaces its parts."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from analytics.dossier.record_file import load_record
from analytics.papers import EARLIER, Papers
from dossier_room import BEGAN_S, DAY_S, Room, context_of, record_of

ROOM = Room(units=4, samples=60)
HOUR_S = 3600.0


@dataclass
class Voice:
    kinds: list[str] = field(default_factory=list)

    def event(self, kind: str, *_told: object, **_fields: object) -> None:
        self.kinds.append(kind)


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(folder=tmp_path, context_of=lambda _: context_of(ROOM), voice=Voice(), keep=100, draws=False)


def save(papers: Papers, began_s: float, **changes) -> None:
    plain = record_of(ROOM)
    moved_s = began_s - plain.began_s
    record = replace(plain, began_s=began_s, ended_s=plain.ended_s + moved_s, at_s=plain.at_s + moved_s)
    papers.put(replace(record, **changes))
    papers.save_waiting()


def names(papers: Papers) -> list[str]:
    return sorted(path.name for path in papers.events.iterdir())


def test_the_newest_record_knows_the_last_results_in_their_order(papers: Papers):
    for day in range(EARLIER + 3):
        save(papers, BEGAN_S + day * DAY_S)
    newest = load_record(max(papers.events.glob("*.json")))
    assert [earlier.began_s for earlier in newest.earlier] == [BEGAN_S + day * DAY_S for day in range(2, EARLIER + 2)]


def test_a_damaged_one_is_left_out(papers: Papers):
    for day in range(3):
        save(papers, BEGAN_S + day * DAY_S)
    max(papers.events.glob("*.npz")).write_bytes(b"damaged")
    save(papers, BEGAN_S + 3 * DAY_S)
    newest = load_record(max(papers.events.glob("*.json")))
    assert [earlier.began_s for earlier in newest.earlier] == [BEGAN_S, BEGAN_S + DAY_S]


def test_a_record_that_comes_late_knows_what_was_before_it_alone(papers: Papers):
    for day in (0, 1, 9):
        save(papers, BEGAN_S + day * DAY_S)
    save(papers, BEGAN_S + 5 * DAY_S)
    (path,) = (each for each in papers.events.glob("*.json") if load_record(each).record.began_s == BEGAN_S + 5 * DAY_S)
    assert [earlier.began_s for earlier in load_record(path).earlier] == [BEGAN_S, BEGAN_S + DAY_S]


def test_the_whole_of_a_discharge_replaces_its_parts_and_nothing_else(papers: Papers):
    save(papers, BEGAN_S - DAY_S)
    save(papers, BEGAN_S + HOUR_S)
    save(papers, BEGAN_S + HOUR_S, string="s2")
    papers.dossiers.mkdir()
    part = max(path.stem for path in papers.events.glob("s1_*.json"))
    for ending in (".pdf", "-summary.csv"):
        (papers.dossiers / f"{part}{ending}").touch()
    save(papers, BEGAN_S)
    left = names(papers)
    assert not [name for name in left if name.startswith(part)]
    assert len([name for name in left if name.startswith("s1_")]) == 4, "two pairs: the day before, and the whole"
    assert len([name for name in left if name.startswith("s2_")]) == 2
    assert not list(papers.dossiers.iterdir())
