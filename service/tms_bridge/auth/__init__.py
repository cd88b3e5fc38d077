"""Pure: client address, allowlist, credentials."""
