"""What runs inside the modules of a line, from the written protocol."""
