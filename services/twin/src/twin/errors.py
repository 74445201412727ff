"""Errors of the twin: one root, and below it one class per reaction of the caller."""


class TwinError(Exception):
    """Raised on purpose by twin."""


class TwinFileError(TwinError):
    """A parameter set, scenario or trace cannot be used: correct the named key of the named file and start again."""


class TwinUseError(TwinError):
    """A call names a string, unit or time the room does not have: correct the call, the room is unchanged."""


class TwinPortError(TwinError):
    """A port cannot be opened: free it or choose another path in the site file, then start again."""


class TwinAwayError(TwinError):
    """No twin answers on its control socket: start it, or name the state folder it uses."""
