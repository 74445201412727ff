"""What can go wrong with a dossier, one class per reaction of the caller."""

from cellkeeper.runtime.errors import RuntimeProblemError


class DossierError(RuntimeProblemError):
    """Raised on purpose by the dossier: the text says what to do."""


class RecordDamagedError(DossierError):
    """A record's files are incomplete, changed or of no known form: take them from the backup."""


class DossierNotWrittenError(DossierError):
    """The folder does not take the files: choose another."""
