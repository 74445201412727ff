"""Where the broker is, and with which papers one goes there."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellkeeper.runtime.tls import TlsFiles

SECRETS_VARIABLE: Final = "CELLKEEPER_SECRETS_DIR"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker listens; without `tls` the connection is plain, which is for a demo on loopback."""

    host: str
    port: int
    tls: TlsFiles | None = None


def address_for_people(host: str, port: int) -> BrokerAddress:
    """Return the address for a command line: with TLS when CELLKEEPER_SECRETS_DIR names a folder of certificates."""
    folder = os.environ.get(SECRETS_VARIABLE)
    return BrokerAddress(host, port, TlsFiles(Path(folder)) if folder else None)
