"""Fakes, builders and strategies for the tests of every service."""
