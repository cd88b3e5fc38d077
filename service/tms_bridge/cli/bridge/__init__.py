"""What is asked of one bridge: through its admin API, or of its outbox directory while it is stopped."""
