"""Where history lies: the port, and the stores behind it."""
