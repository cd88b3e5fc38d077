"""The messages that TMS Bridge publishes, as typed structs."""
