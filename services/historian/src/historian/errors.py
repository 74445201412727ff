"""What can go wrong in the historian, one class per reaction of the caller."""

from cellkeeper.runtime.errors import RuntimeProblemError


class HistorianError(Exception):
    """Raised on purpose by historian."""


class StoreFullError(HistorianError):
    """There is no room: give no receipt, say so, try again when there is."""


class StoreFailedError(HistorianError):
    """The disk refused for another reason: give no receipt, say so, try again."""


class StoreRefusedError(StoreFailedError):
    """A database server does not know us, or not that well: look for a newer token, else wait for a person."""


class StoreMissingError(StoreRefusedError):
    """A database server does not have what is asked of it, or hides it: provisioning makes it, all others wait."""


class StoreBusyError(HistorianError):
    """Upkeep is behind: wait a moment and write the same again."""


class StoreDamagedError(HistorianError):
    """Files of the store contradict themselves: do not start, a person has to look."""


class StoreVersionError(HistorianError):
    """The store was written by a newer program: do not touch it."""


class ExportFailedError(HistorianError, RuntimeProblemError):
    """An export cannot be written: tell the person and end with exit code 1."""


class MigrationFailedError(HistorianError, RuntimeProblemError):
    """History could not be moved, or the stores differ: tell the person and end with exit code 1."""


class ProvisionFailedError(HistorianError, RuntimeProblemError):
    """A database server cannot be made ready: tell the person and end with exit code 1."""


class QueryRefusedError(HistorianError):
    """The question cannot be answered as asked; the text says how to ask."""
