"""Scenarios, faults, payloads: what load a test makes. Pure."""
