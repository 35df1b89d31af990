from __future__ import annotations

import threading

from websockets.sync.server import ServerConnection, serve

from streamlab_plugin.users.broker import broker_at
from streamlab_plugin.users.mqtt_client import Login, MqttClient
from streamlab_plugin.users.tls import Tls

LOGIN = Login("me", None, None, 4, 60, is_clean=True, session_expiry_s=0, will=None)


class TestWebSocket:
    def test_answers_pings(self) -> None:
        """A server that pings gets a pong that it accepts, and the connection goes on."""
        seen: list[object] = []

        def handle(connection: ServerConnection) -> None:
            seen.append(connection.recv()[:1])
            seen.append(connection.ping("alive?").wait(5))
            connection.send(b"\x20\x02\x00\x00")
            connection.recv()

        with serve(handle, "127.0.0.1", 0, subprotocols=["mqtt"]) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            port = server.socket.getsockname()[1]
            client = MqttClient(broker_at(f"ws://127.0.0.1:{port}/mqtt", Tls()), LOGIN, 5.0)
            client.on_connect = lambda *_rest: seen.append("connected")
            client.reconnect()
            client.raw_socket.settimeout(0.1)
            for _ in range(100):
                if len(seen) == 3:
                    break
                client.loop_read()
            client.raw_socket.close()
        assert [b"\x10", True, "connected"] == seen
