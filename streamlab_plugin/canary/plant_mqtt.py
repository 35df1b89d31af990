"""Plants people through MQTT."""

from __future__ import annotations

from typing import Any

import gevent
from locust import task

from streamlab_plugin import MqttUser
from streamlab_plugin.canary.planter import PLAN_HERE, Planter
from streamlab_plugin.canary.planting import Planting

_BROKER = f"mqtt://127.0.0.1:{PLAN_HERE.port('mqtt')}"
_REFUSING = f"mqtt://127.0.0.1:{PLAN_HERE.port('refusing')}"


class Sensor(Planter, MqttUser):
    """Publishes, and introduces itself under other names."""

    protocol = "mqtt"
    host = _BROKER
    fixed_count = 6

    def plant_published_document(self, planting: Planting, made: dict[str, Any]) -> None:
        """Publish a document that nobody listens to."""
        self.publish(f"canary/{planting.number}/data", made, qos=1)

    def plant_delivered_document(self, planting: Planting, made: dict[str, Any]) -> None:
        """Publish a document to the listener."""
        self.publish(f"canary/{planting.number}/heard", made, qos=1)

    def plant_raw_message(self, planting: Planting, made: bytes) -> None:
        """Publish bytes to the listener."""
        self.publish(f"canary/{planting.number}/raw", made, qos=1)

    def plant_exception_in_on_message(self, planting: Planting, made: str) -> dict[str, Any]:
        """Publish what the listener fails on."""
        self.publish(f"canary/{planting.number}/heard", {"text": made}, qos=1)
        return {"text": made}

    def plant_topic(self, planting: Planting, made: str) -> str:
        """Publish to a topic that says too much."""
        topic = f"canary/{planting.number}/topic/{made}"
        self.publish(topic, {"status": "ok"}, qos=1)
        return topic

    def plant_client_id(self, planting: Planting, made: str) -> str:
        """Connect under a telling client id and publish, so that it names a stream."""
        client_id = f"plant-{planting.number}-who/{made}"
        self._visit(_BROKER, client_id=client_id)
        return client_id

    def plant_user_name_and_password(self, planting: Planting, made: str) -> str:
        """Log in."""
        self._visit(_BROKER, client_id=f"plant-{planting.number}-login", username=made, password=made)
        return f"{made} {made}"

    def plant_reason_string(self, planting: Planting, made: str) -> None:
        """Be refused, with the reason in words that only MQTT 5 has."""
        self._visit(_REFUSING, client_id=f"plant-{planting.number}", username=made, mqtt_version=5)

    def _visit(self, host: str, **options: Any) -> None:
        kind = type(
            "Visitor", (MqttUser,), {"abstract": True, "keeps_connected": False, "host": host, **options}
        )
        visitor: Any = kind(self.environment)
        if visitor.connect():
            visitor.publish("visits", {"status": "ok"}, qos=1)
            visitor.close()


class Listener(MqttUser):
    """Hears what the sensors say."""

    host = _BROKER
    fixed_count = 1

    def on_start(self) -> None:
        """Subscribe."""
        for topic in ("heard", "raw"):
            self.subscribe(f"canary/+/{topic}", qos=1)

    @task
    def stay(self) -> None:
        """Do nothing: deliveries come by themselves."""
        gevent.sleep(0.5)

    def on_message(self, topic: str, payload: Any) -> None:  # noqa: ARG002 - the users' interface
        """Fail on what a planting of this kind has sent."""
        if isinstance(payload, dict) and "text" in payload:
            raise ValueError(payload["text"])
