"""The demo target as one process: three servers on the loopback address, one schedule, one log."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.demo.http_api import HttpApi
from streamlab_plugin.demo.http_server import HttpServer
from streamlab_plugin.demo.mqtt import MqttServer
from streamlab_plugin.demo.oracle import OracleLog
from streamlab_plugin.demo.scene import Scene
from streamlab_plugin.demo.schedule import build_schedule
from streamlab_plugin.demo.timeline import Timeline
from streamlab_plugin.demo.websocket import SyncEndpoint

HOST = "127.0.0.1"
_FLUSH_EVERY_S = 0.2
_LIVES_ON_S = 300.0  # after the schedule, for somebody who looks around
_GOODBYE_S = 0.4


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the target; port 0 takes any free one, ``log`` None keeps no log."""

    http_port: int = 0
    ws_port: int = 0
    mqtt_port: int = 0
    duration_s: float = 60.0
    seed: int = 7
    log: Path | None = None
    is_quiet: bool = False


def run(settings: Settings) -> None:
    """Serve until a signal, the end of the parent process or 300 s after the schedule.

    Raises:
        InfrastructureError: A port cannot be taken.
        ConfigError: The log file cannot be written.
    """
    parent = os.getppid()
    listeners = [
        _listen(settings.http_port, "HTTP", "--http-port"),
        _listen(settings.ws_port, "WebSocket", "--ws-port"),
        _listen(settings.mqtt_port, "MQTT", "--mqtt-port"),
    ]
    try:
        oracle = OracleLog(settings.log)
    except OSError as error:
        raise ConfigError(
            f"the log {str(settings.log)!r} cannot be written: {error.strerror}",
            remedy="give a file in a directory you can write to with --log",
        ) from error
    scene = Scene(Timeline(build_schedule(settings.duration_s, settings.seed)), oracle)
    try:
        asyncio.run(_serve(settings, scene, listeners, parent))
    finally:
        oracle.close()


async def _serve(settings: Settings, scene: Scene, listeners: list[socket.socket], parent: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.call_later(settings.duration_s + _LIVES_ON_S, stop.set)

    mqtt = MqttServer(scene)
    http_server = await HttpServer(HttpApi(scene)).start(listeners[0])
    ws_server = await SyncEndpoint(scene).start(listeners[1])
    mqtt_server = await mqtt.start(listeners[2])
    keeping = [asyncio.create_task(task) for task in (_flush(scene.oracle), _watch(parent, stop))]
    _announce(settings, scene, [listener.getsockname()[1] for listener in listeners])
    await stop.wait()

    for task in keeping:
        task.cancel()
    for server in (http_server, ws_server, mqtt_server):
        server.close()
    scene.oracle.flush()
    await _bounded(ws_server.wait_closed())
    await _bounded(mqtt.stop())


def _listen(port: int, what: str, option: str) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=1024)
    except OSError as error:
        reason = (
            "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        raise InfrastructureError(
            f"port {port} for {what} {reason}; choose another with {option} (0 takes any free one)"
        ) from error


async def _flush(oracle: OracleLog) -> None:
    while True:
        await asyncio.sleep(_FLUSH_EVERY_S)
        oracle.flush()


async def _watch(parent: int, stop: asyncio.Event) -> None:
    """Ask each second whether whoever started us is still there: nobody else would end us."""
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    stop.set()


async def _bounded(goodbye: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.wait_for(goodbye, _GOODBYE_S)
    except TimeoutError:
        pass  # a client that does not answer must not keep us


def _announce(settings: Settings, scene: Scene, ports: list[int]) -> None:
    """Say that everything is up: one line of JSON on stdout, the schedule for people on stderr."""
    schedule = scene.timeline.schedule
    ready = {
        "ready": True,
        **dict(zip(("http", "ws", "mqtt"), ports, strict=True)),
        "schedule": schedule.as_json(),
        "seed": schedule.seed,
    }
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    if not settings.is_quiet:
        lines = [
            f"demo target: http {ports[0]}, websocket {ports[1]}, mqtt {ports[2]} on {HOST}",
            f"from the first request on, for {schedule.duration_s:g} s (seed {schedule.seed}):",
            *schedule.lines(),
        ]
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
