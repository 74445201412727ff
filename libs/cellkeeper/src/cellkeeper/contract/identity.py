"""Who and what is named on the wire: ids that are safe in topics, tags and file names."""

from typing import Annotated, NewType

from pydantic import Field

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
SERIAL_PATTERN = r"^[A-Z0-9-]{4,24}$"
STREAM_PATTERN = r"^[0-9a-f]{4,32}$"
MAX_CELLS_PER_STRING = 512

SiteId = NewType("SiteId", str)
StringId = NewType("StringId", str)
ServiceId = NewType("ServiceId", str)
BusId = NewType("BusId", str)
DcBusId = NewType("DcBusId", str)
StreamId = NewType("StreamId", str)
ModuleSerial = NewType("ModuleSerial", str)
CellNumber = NewType("CellNumber", int)
"""Position of a unit in its string, 1-based; a unit is what one module measures."""
BusAddress = NewType("BusAddress", int)
"""A module's 16-bit address on its bus: docs/bus-protocol.md, "addresses"."""

Id = Annotated[str, Field(pattern=ID_PATTERN)]
Serial = Annotated[str, Field(pattern=SERIAL_PATTERN)]
Cell = Annotated[int, Field(ge=1, le=MAX_CELLS_PER_STRING)]
Stream = Annotated[str, Field(pattern=STREAM_PATTERN)]
