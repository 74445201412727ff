"""One bus line: its port, its turns, its sweeps and what is done to single modules."""
