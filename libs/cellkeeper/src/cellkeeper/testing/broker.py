"""A real Mosquitto for a test module."""

from cellkeeper.runtime.broker import Broker, free_port, running_broker

__all__ = ["Broker", "free_port", "running_broker"]
