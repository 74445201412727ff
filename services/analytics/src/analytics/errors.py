"""What can go wrong in the analytics, by what the caller does about it."""


class AnalyticsError(Exception):
    """Raised on purpose by analytics."""


class MemoryUnreadableError(AnalyticsError):
    """Begin anew: what was remembered cannot be used."""


class NotKeptError(AnalyticsError):
    """Refuse it, nothing has changed: the disk does not take it, so a restart would forget it."""


class DossierFailedError(AnalyticsError):
    """Tell it, and try again later: the paper of a discharge could not be made."""
