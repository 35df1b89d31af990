"""``python -m streamlab_plugin.demo``: read the options and run the target."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from streamlab_plugin.core.errors import EXIT_CONFIG, EXIT_MET, StreamlabError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the target and return its exit code."""
    try:
        from streamlab_plugin.demo.target import Settings, run
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is missing; pip install 'locust-streamlab[demo]'", file=sys.stderr)
        return EXIT_CONFIG
    options = _parser().parse_args(arguments)
    settings = Settings(
        http_port=options.http_port,
        ws_port=options.ws_port,
        mqtt_port=options.mqtt_port,
        duration_s=options.duration,
        seed=options.seed,
        log=options.log,
        is_quiet=options.quiet,
    )
    try:
        run(settings)
    except StreamlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_MET


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m streamlab_plugin.demo", description=__doc__)
    for name, what in (("http", "HTTP API"), ("ws", "WebSocket endpoint"), ("mqtt", "MQTT broker")):
        text = f"port of the {what} on 127.0.0.1 (default: any free one)"
        parser.add_argument(f"--{name}-port", type=_port, default=0, metavar="PORT", help=text)
    text = "length of the schedule (default: 60)"
    parser.add_argument("--duration", type=_seconds, default=60.0, metavar="SECONDS", help=text)
    parser.add_argument("--seed", type=int, default=7, help="decides schedule and people (default: 7)")
    text = "write what the target saw and sent here, as JSON lines"
    parser.add_argument("--log", type=Path, default=None, metavar="FILE", help=text)
    parser.add_argument("--quiet", action="store_true", help="do not print the schedule on stderr")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; give seconds above 0, at most 86400")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
