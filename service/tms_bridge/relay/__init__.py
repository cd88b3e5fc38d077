"""The loop from outbox to broker."""
