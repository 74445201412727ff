"""From replies to graded readings of a whole string."""
