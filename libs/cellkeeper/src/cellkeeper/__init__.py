"""Cellkeeper: what every service of the suite shares."""

__version__ = "0.1.0"
