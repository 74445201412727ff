"""What can go wrong in the balancer, by what the caller does about it."""


class BalancerError(Exception):
    """Raised on purpose by balancer."""


class StateUnreadableError(BalancerError):
    """Begin anew: what was remembered of a string cannot be used."""
