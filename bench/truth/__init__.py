"""Cells whose charge is known: simulated by PyBaMM, or measured; and tables identified from a run of one."""
