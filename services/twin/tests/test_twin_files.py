"""Parameter sets and scenarios as files: all that ship load; a faulty one names file, key and what to do."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cellkeeper.contract.chemistry import profiles
from cellkeeper.contract.site import Site
from twin.errors import TwinFileError
from twin.physics.parameter_sets import SHIPPED as SETS_SHIPPED
from twin.physics.parameter_sets import load_parameter_set, shipped_parameter_sets
from twin.physics.room import Room
from twin.physics.room_spec import RoomSpec, StringSpec, room_spec_from_site
from twin.scenario_check import problems
from twin.script.scenario import SHIPPED, load_scenario, shipped_scenario
from twin.script.scenario import SHIPPED as SCENARIOS_SHIPPED

VRLA = (SETS_SHIPPED / "vrla.toml").read_text()


def test_every_chemistry_of_a_site_has_a_parameter_set():
    assert set(profiles()) <= set(shipped_parameter_sets())


@pytest.mark.parametrize("path", sorted(SCENARIOS_SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_that_ships_runs_in_a_room(path):
    scenario = shipped_scenario(path.stem)
    assert scenario.name == path.stem
    spec = RoomSpec((StringSpec("s1", 24, "vrla", 100.0), StringSpec("s2", 10, "lfp", 50.0)))
    room = Room(spec, seed=1, start=datetime(2026, 1, 1, tzinfo=UTC), scenario=scenario)
    room.advance(1800.0)
    assert np.all(np.isfinite(room.reading("s1").v))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nominal_v = 2.0", "", "key 'nominal_v': missing; add it"),
        ("tau1_s = 1.6", "tau_s = 1.6", "key 'resistance.tau_s': not known here"),
        ("tau1_s = 1.6", "tau1_s = -1", "key 'resistance.tau1_s'.*greater than 0.*change the value"),
        ("r0_ohm_ah = 0.062", 'r0_ohm_ah = "low"', "key 'resistance.r0_ohm_ah'.*'low'"),
        ("soc_frac = [-0.2, -0.12", "soc_frac = [-0.2, -0.2", "key 'ocv.soc_frac': has to rise"),
        ("v = [-0.85, -0.6", "v = [-0.85, 3.0", "key 'ocv.v': falls"),
        ("factor = [3.0, 2.6", "factor = [2.6", "table 'resistance': all its lists need 12 entries"),
        ("[storage]", "[storage", "not valid TOML"),
    ],
)
def test_a_faulty_parameter_set_says_where_and_what_to_do(tmp_path: Path, old, new, said):
    path = tmp_path / "mine.toml"
    assert old in VRLA
    path.write_text(VRLA.replace(old, new, 1))
    with pytest.raises(TwinFileError, match=said) as caught:
        load_parameter_set(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 'x'", "key 'name': missing"),
        ("name = 'x'\nspeed = 2", "key 'speed': not known"),
        ("name = 'x'\n[[ups]]\nact = 'outage'", "key 'ups.0.at_s': missing"),
        ("name = 'x'\n[[ups]]\nat_s = 1\nact = 'explode'", "key 'ups.0.act'"),
        ("name = 'x'\n[[fault]]\nat_s = -1\nkind = 'dry_out'\ncell = 0", r"fault\.0\.at_s.*fault\.0\.cell"),
        ("name = 'x'\n[[wire]]\nat_s = 1\nkind = 'noise'\nlevel = 3", r"wire\.0\.level': not known"),
    ],
)
def test_a_faulty_scenario_says_where_and_what_to_do(tmp_path: Path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TwinFileError, match=said):
        load_scenario(path)


ROOM = Site.model_validate(
    {
        "site": {"id": "hh1", "name": "Harbour house"},
        "bus": [{"id": "b1", "port": "/dev/ttyUSB0"}],
        "string": [
            {
                "id": "s1",
                "cells": 8,
                "chemistry": "vrla_agm",
                "rated_ah": 80.0,
                "modules": [{"bus": "b1", "first_address": 1, "count": 8}],
            }
        ],
    }
)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scenarios_can_be_played(path: Path):
    assert problems(path, ROOM) == []


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ("[[ups]]\nat_s = 1.0\nact = 'outage'\ndcbus = 'ups9'", 2, "dc bus 'ups9' is not there; there are s1"),
        ("[[ups]]\nat_s = 1.0\nact = 'open'\nstring = 's9'", 2, "there is no such string; there are s1"),
        ("[[fault]]\nat_s = 1.0\nkind = 'soft_short'\ncell = 9", 2, "has 8 units, not 9"),
        ("[[fault]]\nat_s = 1.0\nkind = 'soft_shot'\ncell = 1", 4, "key 'fault.0.kind'"),
        ("[[wire]]\nat_s = 1.0\nkind = 'noize'", 2, "fault 'noize' is not known; there are"),
        ("[[wire]]\nat_s = 1.0\nkind = 'noise'\nvalue = 7.0", 2, "above 0 and at most 1"),
        (
            "[[wire]]\nat_s = 1.0\nkind = 'silent'\ncell = 1\n[[wire]]\nat_s = 2.0\nkind = 'silent'\ncell = 9",
            6,
            "no cell 9",
        ),
        ("[[wire]\nat_s = 1.0", 2, "not valid TOML"),
    ],
)
def test_a_scenario_that_this_room_cannot_play_is_named_with_line_and_advice(tmp_path: Path, lines, line, said):
    path = tmp_path / "mine.toml"
    path.write_text(f"name = 'mine'\n{lines}\n")
    (told,) = problems(path, ROOM)
    assert told.startswith(f"{path}:{line}: ")
    assert said in told


def test_lines_are_tried_each_alone(tmp_path: Path):
    path = tmp_path / "mine.toml"
    line = "[[wire]]\nat_s = 1.0\nkind = 'duplicate'\ncell = 1\nvalue = 2\n"
    path.write_text(f"name = 'mine'\n{line}{line}")
    assert problems(path, ROOM) == []


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(TwinFileError, match=r"gone\.toml: cannot be read"):
        load_scenario(tmp_path / "gone.toml")
    with pytest.raises(TwinFileError, match="there are imbalance, outage"):
        shipped_scenario("flood")


def test_a_site_becomes_a_room():
    block = {
        "id": "s1",
        "dcbus": "ups1",
        "cells": 4,
        "cells_per_unit": 6,
        "chemistry": "vrla_agm",
        "module_type": "c20",
        "rated_ah": 80.0,
        "bleed_max_a": 0.2,
        "modules": [{"bus": "b1", "first_address": 1, "count": 4}],
    }
    alone = block | {"id": "s2", "dcbus": None, "modules": [{"bus": "b1", "first_address": 9, "count": 4}]}
    site = Site.model_validate(
        {
            "site": {"id": "hh1", "name": "Harbour house"},
            "bus": [{"id": "b1", "port": "/dev/ttyUSB0"}],
            "dcbus": [{"id": "ups1"}],
            "string": [block, alone],
        }
    )
    room = Room(room_spec_from_site(site), seed=1, start=datetime(2026, 1, 1, tzinfo=UTC))
    room.advance(10.0)
    assert [state.id for state in room.dcbus_states()] == ["ups1", "s2"]
    assert room.reading("s1").v == pytest.approx(6 * 2.27, abs=0.15)
