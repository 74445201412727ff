"""Bytes and physical values of the open C44 bus protocol; no I/O."""
