"""The demo's mixed scenario: devices that sync over WebSocket and MQTT, and apps that use the HTTP API.

    streamlab demo

starts the target and this file together. By hand: start ``python -m streamlab_plugin.demo``, put the three
URLs with the ports it prints into STREAMLAB_DEMO_HTTP, STREAMLAB_DEMO_WS and STREAMLAB_DEMO_MQTT, and run
``locust -f locustfiles/demo.py``. Some failures are wanted: the target misbehaves on a schedule.
"""

from __future__ import annotations

from demo_app import App
from demo_device import MobileDevice
from demo_sensor import Sensor

from streamlab_plugin import install

install()

__all__ = ["App", "MobileDevice", "Sensor"]
