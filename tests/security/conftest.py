"""A site with two gateways and its broker, on every Mosquitto of this machine; modules here are importable by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cellkeeper.site_folder.layout import SiteFolder
from cellkeeper.testing.real_brokers import Mosquitto, SecuredBroker, real_brokers

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).resolve().parents[2]

from guarded_site import Outsiders, new_site, secured  # noqa: E402  # found only after the line above

BROKERS = real_brokers(ROOT)


@pytest.fixture(scope="session")
def outsiders() -> Outsiders:
    return Outsiders()


@pytest.fixture(scope="session")
def guarded_site(tmp_path_factory: pytest.TempPathFactory, outsiders: Outsiders) -> SiteFolder:
    return new_site(tmp_path_factory.mktemp("site"), outsiders)


@pytest.fixture(scope="module", params=BROKERS, ids=lambda each: each.version)
def every_broker(
    request: pytest.FixtureRequest, guarded_site: SiteFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredBroker]:
    """The same site on each version, one after the other."""
    with secured(guarded_site, request.param, tmp_path_factory.mktemp("run")) as broker:
        yield broker


@pytest.fixture(params=BROKERS, ids=lambda each: each.version)
def mosquitto(request: pytest.FixtureRequest) -> Mosquitto:
    return request.param


@pytest.fixture
def newest() -> Mosquitto:
    return max(BROKERS, key=lambda each: tuple(map(int, each.version.split("."))))
