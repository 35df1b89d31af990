"""``streamlab probe ws|mqtt|http|tls|preflight``: is the target there, is this machine ready for the load?"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from streamlab_plugin.cli.probe_view import answers_json, answers_lines
from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, EXIT_MET, ConfigError
from streamlab_plugin.probe import address as schemes
from streamlab_plugin.probe import http, mqtt, preflight, tls, websocket
from streamlab_plugin.probe.address import Address, parse_address
from streamlab_plugin.probe.answer import OK
from streamlab_plugin.probe.attempt import Attempt, attempt

PASSWORD_VARIABLE = "STREAMLAB_PROBE_PASSWORD"  # noqa: S105 - its name, not its value

_Command = Callable[..., Any]
_timeout = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=10.0, show_default=True,
    metavar="SECONDS", help="Give up after so long.",
)  # fmt: skip
_count = click.option(
    "--count", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="NUMBER",
    help="Ask so many times, each time on a new connection.",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def _utf8(text: str) -> str:
    """Refuse what the shell passed and no protocol can: bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this text is not UTF-8") from None
    return text


def _shared(command: _Command) -> _Command:
    return _timeout(_count(_json(command)))


@click.group()
def probe() -> None:
    """Ask a target whether it is there and lets us in. Exit codes: 0 ok, 2 usage, 4 not ok."""


@probe.command("ws")
@click.argument("url", type=_utf8)
@click.option(
    "--message", type=_utf8, default=None, metavar="TEXT", help="Send this; 'heartbeat' is a JSON object."
)
@click.option("--expect-reply", is_flag=True, help="Wait for the first message that comes after it.")
@_shared
def ws_command(url: str, message: str | None, expect_reply: bool, **shared: Any) -> None:
    """Shake hands with a WebSocket server and ping it; URL is ws:// or wss://."""
    if expect_reply and message is None:
        raise click.UsageError("--expect-reply needs a --message")
    _ask(
        parse_address(url, schemes.WEBSOCKET),
        lambda one: websocket.probe(one, message, expect_reply),
        **shared,
    )


@probe.command("mqtt")
@click.argument("url", type=_utf8)
@click.option(
    "--topic",
    type=_utf8,
    default=mqtt.DEFAULT_TOPIC,
    show_default=True,
    metavar="TEXT",
    help="Where the message goes.",
)
@click.option("--qos", type=click.IntRange(0, 2), default=1, show_default=True, help="Of the message.")
@click.option("--mqtt-version", type=click.Choice(tuple(mqtt.VERSIONS)), default="3.1.1", show_default=True,
              help="Version of the protocol.")  # fmt: skip
@click.option(
    "--username", type=_utf8, default=None, metavar="NAME", help=f"User; password from {PASSWORD_VARIABLE}."
)
@click.option("--sys", "wants_sys", is_flag=True, help="Show what the broker tells about itself.")
@_shared
def mqtt_command(
    url: str, topic: str, qos: int, mqtt_version: str, username: str | None, wants_sys: bool, **shared: Any
) -> None:
    """Send a message through an MQTT broker and wait for it; URL is mqtt:// or mqtts://."""
    address = parse_address(url, schemes.MQTT)
    if address.password is not None:
        raise ConfigError(
            "a password in the URL can be read by everybody on this machine",
            remedy=f"put it into {PASSWORD_VARIABLE}",
        )
    password = os.environ.get(PASSWORD_VARIABLE)
    question = mqtt.MqttQuestion(
        topic, qos, mqtt.VERSIONS[mqtt_version], username or address.user,
        None if password is None else _utf8(password), wants_sys,
    )  # fmt: skip
    _ask(dataclasses.replace(address, path=""), lambda one: mqtt.probe(one, question), **shared)


@probe.command("http")
@click.argument("url", type=_utf8)
@click.option("--expect-status", type=click.IntRange(100, 999), default=None, metavar="NUMBER",
              help="The only status that is ok; without it any from 200 to 399.")  # fmt: skip
@_shared
def http_command(url: str, expect_status: int | None, **shared: Any) -> None:
    """GET an address once; URL is http:// or https://."""
    _ask(parse_address(url, schemes.HTTP), lambda one: http.probe(one, expect_status), **shared)


@probe.command("tls")
@click.argument("place", type=_utf8, metavar="HOST:PORT")
@click.option("--min-version", type=click.Choice(tls.VERSIONS), default="1.2", show_default=True,
              help="An older version of TLS is not ok.")  # fmt: skip
@click.option("--warn-days", type=click.IntRange(0, 10_000), default=30, show_default=True, metavar="NUMBER",
              help="Warn when the certificate ends within so many days.")  # fmt: skip
@_shared
def tls_command(place: str, min_version: str, warn_days: int, **shared: Any) -> None:
    """Look at version, cipher and certificate; HOST:PORT, or a URL."""
    text = place if "://" in place else f"tls://{place}"
    address = dataclasses.replace(parse_address(text, schemes.TLS), scheme="tls", path="")
    _ask(address, lambda one: tls.probe(one, min_version, warn_days), **shared)


@probe.command("preflight")
@click.option("--users", type=click.IntRange(1, 10_000_000), required=True, metavar="NUMBER",
              help="Simulated users in one process.")  # fmt: skip
@click.option("--host", type=_utf8, default=None, metavar="URL", help="Their target.")
@_timeout
@_json
def preflight_command(users: int, host: str | None, timeout_s: float, as_json: bool) -> None:
    """Is this machine ready for so many users, and their target there?"""
    address = None if host is None else parse_address(host, schemes.ANY)
    checks = [preflight.check_descriptors(users), preflight.check_ports(users)]
    if address is not None:
        checks.append(preflight.check_target(address, timeout_s))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            remedy = f"; {check.remedy}" if check.remedy else ""
            click.echo(f"{'problem' if check.is_problem else 'ok':<8} {check.name:<12} {check.text}{remedy}")
    sys.exit(EXIT_INFRASTRUCTURE if any(check.is_problem for check in checks) else EXIT_MET)


def _ask(
    address: Address, steps: Callable[[Attempt], None], timeout_s: float, count: int, as_json: bool
) -> None:
    """Make *count* attempts, print what came of them and end with the exit code."""
    answers = [attempt(address, timeout_s, steps) for _number in range(count)]
    if as_json:
        click.echo(json.dumps(answers_json(answers), indent=2))
    else:
        click.echo("\n".join(answers_lines(answers)))
    sys.exit(EXIT_MET if all(answer.outcome == OK for answer in answers) else EXIT_INFRASTRUCTURE)
