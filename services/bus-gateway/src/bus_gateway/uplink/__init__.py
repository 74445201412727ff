"""What the gateway publishes."""
