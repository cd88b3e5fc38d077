"""Every metric of section 12 of the design, bound to a registry that the caller gives."""
