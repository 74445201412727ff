"""Cells, charger and instruments of a room, as arrays over all units."""
