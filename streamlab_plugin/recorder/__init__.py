"""The recorder process: receive, redact, judge, roll up, store, finalise."""
