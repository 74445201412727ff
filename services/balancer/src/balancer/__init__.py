"""Keeps the units of a string even: decides from live scans, asks the gateway, proves what came of it."""
