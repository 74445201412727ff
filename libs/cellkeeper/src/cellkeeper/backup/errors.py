"""What can go wrong with a backup, one class per reaction of the caller."""

from cellkeeper.runtime.errors import RuntimeProblemError


class BackupProblemError(RuntimeProblemError):
    """Raised on purpose by cellkeeper.backup: tell the person and end with exit code 1."""


class BackupFailedError(BackupProblemError):
    """No new backup could be made; those before it are untouched. Try again when the reason is gone."""


class BackupDamagedError(BackupProblemError):
    """A file of a backup is not what the backup says: take another backup, or copy this one again."""


class RestoreRefusedError(BackupProblemError):
    """Nothing was written: what is there stands in the way, or the backup does not hold what is asked for."""
