"""How a service lives: settings, clock, session with the broker, presence, logs, metrics."""
