"""What can go wrong with a document."""

from cellkeeper.runtime.errors import RuntimeProblemError


class PaperError(RuntimeProblemError):
    """The document cannot be drawn or written: the text says what to do."""
