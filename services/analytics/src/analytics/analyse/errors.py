"""What can go wrong with an analysis."""

from cellkeeper.runtime.errors import RuntimeProblemError


class AnalyseError(RuntimeProblemError):
    """The file cannot be analysed like this, or a result not be written: the text says what to do."""
