"""Pages and JSON API on Locust's web UI, and without Locust."""
