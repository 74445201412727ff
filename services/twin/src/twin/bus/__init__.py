"""The line between modules and master: bytes, wire time, ports, and what goes wrong on it."""
