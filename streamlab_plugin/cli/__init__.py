"""The streamlab command."""
