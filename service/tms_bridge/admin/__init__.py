"""The admin listener: probes, metrics, API."""
