"""How long a bus takes is as the protocol's table says, and `validate` tells who cannot hold `scan_s`."""

from pathlib import Path

import pytest
from cellkeeper.cli.main import main
from cellkeeper.contract.bus_time import WINDOW_S, fast_enough_baud, scan_takes_s
from cellkeeper.contract.site import Site


def site_of(units: int, baud: int, scan_s: float = 1.0) -> Site:
    string = {"id": "s1", "cells": units, "chemistry": "vrla_agm", "rated_ah": 100.0}
    return Site.model_validate(
        {
            "site": {"id": "t", "name": "test", "scan_s": scan_s},
            "bus": [{"id": "a", "port": "/dev/null", "baud": baud}],
            "string": [string | {"modules": [{"bus": "a", "first_address": 1, "count": units}]}],
        }
    )


@pytest.mark.parametrize(
    ("units", "baud", "sweep_s"),
    [(50, 9600, 0.6948), (512, 9600, 7.094), (512, 115_200, 0.591), (50, 19_200, 0.3474), (512, 3_000_000, 0.0265)],
)
def test_a_sweep_takes_what_the_protocols_table_says(units: int, baud: int, sweep_s: float):
    site = site_of(units, baud)
    assert scan_takes_s(site, site.bus[0]) - WINDOW_S == pytest.approx(sweep_s, rel=5e-3)


def test_the_lowest_rate_that_is_fast_enough_is_found():
    site = site_of(240, 9600)
    assert fast_enough_baud(site, site.bus[0]) == 38_400
    hasty = site_of(512, 9600, scan_s=0.1)
    assert fast_enough_baud(hasty, hasty.bus[0]) is None


def written(folder: Path, baud: int, units: int, scan_s: float) -> Path:
    path = folder / "site.toml"
    path.write_text(
        f"""[site]
id = "hh1"
name = "Harbour"
scan_s = {scan_s}

[[bus]]
id = "fast"
port = "/dev/ttyUSB0"

[[bus]]
id = "slow"
port = "/dev/ttyUSB1"
baud = {baud}

[[string]]
id = "s1"
cells = {units}
chemistry = "vrla_agm"
rated_ah = 100.0
[[string.modules]]
bus = "slow"
first_address = 1
count = {units}
""",
        "utf-8",
    )
    return path


def test_validate_says_how_long_a_slow_bus_takes_and_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, 9600, 240, 1.0)
    assert main(["validate", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{path}:10: bus slow: a scan takes 3.4")
    assert "raise scan_s to 3.5, or set baud to 38400 or more" in told
    assert main(["validate", str(written(tmp_path, 9600, 240, 3.5))]) == 0
    assert "the slowest bus, slow, needs 3.4" in capsys.readouterr().out
    assert main(["validate", str(written(tmp_path, 38_400, 240, 1.0))]) == 0


def test_validate_offers_no_scan_time_that_is_not_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, 9600, 512, 1.0)
    path.write_text(
        path.read_text("utf-8") + '[[string]]\nid = "s2"\ncells = 512\nchemistry = "vrla_agm"\nrated_ah = 100.0\n'
        '[[string.modules]]\nbus = "slow"\nfirst_address = 1000\ncount = 512\n',
        "utf-8",
    )
    assert main(["validate", str(path)]) == 1
    told = capsys.readouterr().err
    assert "scan_s to" not in told
    assert "put modules on further buses" in told
