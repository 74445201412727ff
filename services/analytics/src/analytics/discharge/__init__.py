"""Discharges: when they begin and end, what was recorded of them, and the paper that is made of it."""
