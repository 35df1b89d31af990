"""The socket between a Locust process and its recorder: the only thing both sides share."""
