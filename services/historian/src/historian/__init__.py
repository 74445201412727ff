"""Stores every reading, loses nothing, answers questions about the past."""
