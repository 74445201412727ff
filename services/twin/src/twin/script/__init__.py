"""What happens in a room as data: scenarios and recordings."""
