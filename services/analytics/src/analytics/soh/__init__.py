"""Capacity from discharges: of a string and of each unit, each with its method and its standard deviation."""
