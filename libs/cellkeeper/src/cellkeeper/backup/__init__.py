"""Backups of a site: what one consists of, how it gets there whole, how it is checked before anything is restored."""
