"""The embedded store: a journal for the newest minutes, Parquet for the rest, one manifest that tells them apart."""
