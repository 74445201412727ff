"""What travels and what is stored. Pure: no clock, no socket, no file but its own profiles."""
