"""The webhook listener."""
