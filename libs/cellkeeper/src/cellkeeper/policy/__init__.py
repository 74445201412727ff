"""Who may do what on the broker, rendered from the topic table: pure text and trees, without input or output."""
