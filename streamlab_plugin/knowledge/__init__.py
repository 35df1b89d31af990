"""Signatures and fix suggestions: what is known about an anomaly. Pure."""
