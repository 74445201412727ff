"""Errors of the runtime, one class per reaction of the caller."""


class RuntimeProblemError(Exception):
    """Raised on purpose by cellkeeper.runtime."""


class StartRefusedError(RuntimeProblemError):
    """The service must not start like this: tell the person and end with exit code 1."""


class DuplicateServiceError(RuntimeProblemError):
    """Another process uses this service id: stop, so that two never mix."""


class LinkLostError(RuntimeProblemError):
    """The connection to the broker is gone: the session's supervisor makes a new one."""
