"""Impedance of every unit against its own past and its string; an indicator of defects, never a capacity."""
