"""One bundle for all tests of this folder: it takes seconds to make and is only read, or copied."""

from pathlib import Path

import pytest

from .bundles import unpacked_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an unpacked bundle for the interpreter of these tests."""
    return unpacked_bundle(tmp_path_factory.mktemp("bundle"))
