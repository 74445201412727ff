"""What the gateway is asked to do, and what forbids it."""
