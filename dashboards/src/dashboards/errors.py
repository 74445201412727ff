"""Errors of the boards, one class per reaction of the caller."""

from cellkeeper.runtime.errors import RuntimeProblemError


class BoardsError(RuntimeProblemError):
    """A command on boards cannot be done: tell the person and end with exit code 1."""


class GrafanaRefusedError(BoardsError):
    """Grafana does not take what it was given, or does not know us: a person has to look."""


class GrafanaAwayError(BoardsError):
    """Grafana does not answer: start it or correct its address, then try again."""


class DatabaseAwayError(BoardsError):
    """InfluxDB does not answer, or does not take the token: correct what the text names, then try again."""


class QuestionImpossibleError(BoardsError):
    """A board asks for what no tier holds: a mistake in the board's file."""
