"""Commands of a person on site."""
