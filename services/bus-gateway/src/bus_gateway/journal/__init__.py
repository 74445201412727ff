"""Scans on disk before they are published, and what is still owed to the store."""
