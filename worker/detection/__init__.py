"""What was seen in a frame, and the backends that see it."""
