"""What is asked of the broker, and of what passes over it."""
