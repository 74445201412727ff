"""Estimates with honest error bars, from scans alone: pure functions on arrays, and one service around them."""
