"""Battery-room twin: cell physics, module firmware, the bus and its faults."""
