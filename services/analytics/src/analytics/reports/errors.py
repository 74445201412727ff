"""What can go wrong with a report."""

from cellkeeper.runtime.errors import RuntimeProblemError


class ReportError(RuntimeProblemError):
    """What was asked for is not there, or cannot be written: the text says what to do."""
