"""Locust users of our own: WebSocket, MQTT, HTTP."""
