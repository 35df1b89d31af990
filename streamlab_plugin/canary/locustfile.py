"""The canary's load, started by `streamlab privacy canary`: all its users, until everything is planted.

The working directory holds the plan. Locust's own loggers and those of the users are as a test's are.
"""

from __future__ import annotations

from streamlab_plugin.canary.plant_http import FastShopper, Shopper
from streamlab_plugin.canary.plant_mqtt import Listener, Sensor
from streamlab_plugin.canary.plant_websocket import Chatter

__all__ = ["Chatter", "FastShopper", "Listener", "Sensor", "Shopper"]
