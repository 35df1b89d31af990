"""What may be kept of a payload, a name or a text. Pure."""
