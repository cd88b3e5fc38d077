"""The configuration: values, and how they are read."""
