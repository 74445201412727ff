"""History in InfluxDB 2: docs/adr/0007-influxdb-behind-the-port.md."""
