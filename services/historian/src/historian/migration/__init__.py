"""History from one store into another."""
