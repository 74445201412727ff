"""State of charge of every unit: what is left, how sure that is, where it is known from. Pure."""
