"""Errors of the gateway, one class per reaction of the caller."""


class GatewayError(Exception):
    """Raised on purpose by bus_gateway."""


class ModuleSilentError(GatewayError):
    """Nobody answered in time: ask again; after the last try the module is unknown."""


class PortLostError(GatewayError):
    """The port is gone: close it and let its supervisor open it again."""


class PortTakenError(GatewayError):
    """Another process holds the port: say so and keep off the bus."""


class SecondMasterError(GatewayError):
    """Somebody else sends requests on this bus: stop transmitting and report it."""


class JournalFullError(GatewayError):
    """There is no room on disk: scans live in memory and the newest leave the oldest behind, aloud."""


class JournalUnreadableError(GatewayError):
    """The journal's files are of a newer version or not ours: set them aside, say so, begin a new stream."""
