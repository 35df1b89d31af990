"""An HTTP server that logs each sequence number it saw.

Run as ``python http_target.py LOG``; prints its port. ``/ok`` answers JSON with the request's correlation id,
``/text`` text, ``/slow`` after ``ms``, ``/status`` with ``code``, ``/big`` with JSON above the payload limit,
``/broken`` with an encoding that nobody knows, ``/lie`` with gzip that is none, ``/bytes`` with a status of
``code`` and no UTF-8, ``/none`` with 204, ``/odd`` with a redirect to where no client goes, ``/moved``
with one to ``/ok``, ``/hal`` with JSON of a type of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gevent
from gevent.pywsgi import WSGIServer

TYPES = {"/text": "text/plain", "/hal": "application/hal+JSON", "/bytes": "application/octet-stream"}
LOCATIONS = {"/odd": "odd://x/", "/moved": "/ok?seq=9"}
ENCODINGS = {"/broken": "zstd", "/lie": "gzip"}


def main(path: str) -> None:
    """Serve on a free port until killed."""
    log = Path(path)
    log.touch()

    def serve(environ: dict[str, Any], start: Any) -> list[bytes]:
        asked = dict(parse_qsl(environ["QUERY_STRING"]))
        correlation_id = environ.get("HTTP_X_CORRELATION_ID")
        with log.open("a", encoding="utf-8") as lines:
            noted = {"seen": int(asked.get("seq", 0)), "id": correlation_id}
            lines.write(json.dumps({**noted, "trace": environ.get("HTTP_TRACEPARENT")}) + "\n")
        place = environ["PATH_INFO"]
        if place == "/slow":
            gevent.sleep(int(asked["ms"]) / 1000)
        status = f"{asked['code']} Said" if "code" in asked else "200 OK"
        headers = [("Content-Type", TYPES.get(place, "application/json; charset=utf-8"))]
        if place in ENCODINGS:
            headers.append(("Content-Encoding", ENCODINGS[place]))
        if place in LOCATIONS:
            status = "302 Found"
            headers.append(("Location", LOCATIONS[place]))
        if place == "/none":
            start("204 No Content", [])
            return []
        start(status, headers)
        if place == "/bytes":
            return [b"\xff\xfe"]
        return [json.dumps({"id": correlation_id, "fill": "x" * (70_000 if place == "/big" else 0)}).encode()]

    server = WSGIServer(("127.0.0.1", 0), serve, log=None)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
