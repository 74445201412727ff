"""Provisioning a real InfluxDB: idempotent, and tokens that may no more than they must."""

import os
from pathlib import Path

import pytest
from historian.errors import StoreFailedError
from historian.stores.influx.provision import plan_for, provision, write_secret
from historian.stores.influx.server import Server, Target

from .conftest import FOR_EVER, Room


def test_provisioning_twice_changes_nothing_and_tokens_may_no_more_than_they_must(room: Room):
    assert room.provision() == []
    folder = room.target.token_file.parent
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "historian.token": 0o400,
        "reader.token": 0o400,
    }
    reader = Server(Target(room.target.url, "cellkeeper", folder / "reader.token", room.target.database))
    room.write(1)
    question = 'SELECT count("seq") FROM "string"'
    assert reader.ask("full", question, {}) is not None
    with pytest.raises(StoreFailedError, match="refuses the token"):
        reader.write("full", b"cell,cell=1 quality=0i 1795237200000000000\n")
    historian = Server(room.target)
    with pytest.raises(StoreFailedError):
        historian.manage("DELETE", f"/api/v2/buckets/{room.bucket('1m')}x")
    with pytest.raises(StoreFailedError):
        historian.manage("POST", "/api/v2/authorizations", {"orgID": "0" * 16, "permissions": []})
    for each in (reader, historian):
        each.close()


def test_a_server_that_somebody_set_up_needs_its_operators_token(room: Room, tmp_path: Path):
    missing = tmp_path / "elsewhere" / "operator.token"
    plan = plan_for(room.target, tmp_path / "elsewhere", FOR_EVER).with_operator(missing)
    with pytest.raises(StoreFailedError, match="set up already; put its operator token into"):
        list(provision(plan))
    assert not missing.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_a_token_to_the_service_whose_folder_it_lies_in(tmp_path: Path):
    folder = tmp_path / "historian"
    folder.mkdir(mode=0o700)
    os.chown(folder, 10001, 10001)
    for text in ("first", "second"):
        write_secret(folder / "influx.token", text)
        found = (folder / "influx.token").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (10001, 10001, 0o400)
    assert (folder / "influx.token").read_text("ascii") == "second\n"
