"""How much each unit should be bled, before any limit: one file for each way."""
