"""History as files for other programs: CSV, wide or long, and Parquet; in plain units, without stored scales."""
