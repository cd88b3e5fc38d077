"""Pure: a body becomes a typed event and its message, or a reason for quarantine."""
