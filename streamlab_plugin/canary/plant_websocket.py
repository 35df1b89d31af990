"""Plants people through WebSocket."""

from __future__ import annotations

import base64
from typing import Any

from gevent.event import Event

from streamlab_plugin import WebSocketUser
from streamlab_plugin.canary.planter import PLAN_HERE, Planter
from streamlab_plugin.canary.planting import Planting

_PUSH_S = 5.0


class Chatter(Planter, WebSocketUser):
    """Keeps one connection, and opens others for what is in handshakes."""

    protocol = "websocket"
    host = f"ws://127.0.0.1:{PLAN_HERE.port('websocket')}"
    fixed_count = 6

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._pushed = Event()

    def on_push(self, message: Any) -> None:
        """Fail on what a planting of this kind has sent."""
        self._pushed.set()
        if isinstance(message, dict) and "text" in message:
            raise ValueError(message["text"])

    def _send(self, planting: Planting, made: dict[str, Any], wanted: str) -> None:
        self._pushed.clear()
        self.send({**made, "correlation_id": f"{planting.number}:{wanted}"}, name="sent")
        if wanted == "push":
            self._pushed.wait(_PUSH_S)

    def plant_sent_document(self, planting: Planting, made: dict[str, Any]) -> None:
        """Send a document."""
        self._send(planting, made, "nothing")

    def plant_answered_document(self, planting: Planting, made: dict[str, Any]) -> None:
        """Get a document back."""
        self.request({**made, "correlation_id": f"{planting.number}:answer"}, name="asked")

    def plant_pushed_document(self, planting: Planting, made: dict[str, Any]) -> None:
        """Have a document pushed."""
        self._send(planting, made, "push")

    def plant_raw_message(self, planting: Planting, made: bytes) -> None:
        """Send and receive bytes, and the same as a text that is no JSON."""
        self._pushed.clear()
        self.send(b"%d\n%s" % (planting.number, made), name="raw")
        self._pushed.wait(_PUSH_S)

    def plant_close_reason(self, planting: Planting, made: str) -> None:
        """Be sent away with a reason."""
        self.request({"text": made, "correlation_id": f"{planting.number}:close"}, name="asked")

    def plant_undecodable_message(self, planting: Planting, made: str) -> None:
        """Get a text that is no JSON."""
        self.send({"text": made, "correlation_id": f"{planting.number}:broken"}, name="sent")

    def plant_exception_in_on_push(self, planting: Planting, made: str) -> dict[str, Any]:
        """Fail on a push."""
        self._send(planting, {"text": made}, "push")
        return {"text": made}

    def plant_push_type(self, planting: Planting, made: str) -> dict[str, Any]:
        """Get a push whose type, which names it, says too much."""
        message = {"type": f"for/{made}"}
        self._send(planting, message, "push")
        return message

    def plant_refused_upgrade(self, planting: Planting, made: str) -> None:
        """Be refused in the handshake, with a body."""
        person = base64.b64encode(made.encode()).decode()
        self.close()
        self.ws_headers = {"X-Planting": str(planting.number), "X-Person": person}  # type: ignore[misc]
        try:
            self.connect("/refused")
        finally:
            del self.ws_headers
        self.connect()

    def plant_url(self, planting: Planting, made: str) -> str:
        """Connect to a path."""
        return self._visit(f"/plant-{planting.number}/{made}")

    def plant_query(self, planting: Planting, made: str) -> str:
        """Connect with a query."""
        return self._visit(f"/plant-{planting.number}?who={made}")

    def _visit(self, path: str) -> str:
        self.close()
        self.connect(path)
        self.close()
        self.connect()
        return path
