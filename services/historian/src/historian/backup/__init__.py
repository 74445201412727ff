"""History in a backup: files of the embedded store as they are, days of InfluxDB as Parquet, and their way back."""
