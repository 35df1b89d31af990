"""Drive HTTP users against nginx: ``python run_nginx.py KIND:SCENARIO TARGET [N]``; prints JSON.

TARGET is JSON: ``address``, ``tls`` (URLs by name) and ``authority``.
"""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any

import gevent
from locust import task
from recorder import Bench, run_once

from streamlab_plugin.users.http import HttpUser
from streamlab_plugin.users.http_requests import RequestsUser

KINDS = {"fast": HttpUser, "requests": RequestsUser}


def one_task(body: Any, base: Any = None) -> dict[str, Any]:
    """Run *body* once in one user; of payloads only the sizes."""
    result = run_once(base or BASE, body, "Web", host=TARGET["address"])
    for row in result["rows"]:
        row["payload"] = row["payload"] and len(row["payload"])
    return result


def operations() -> Any:
    """Each thing that HTTP does, under a name of its own."""

    def body(user: Any) -> Any:
        client = user.client
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            client.request(method, "/json", name=f"{method} json")
        client.post("/json", json={"fill": "x" * 65_536}, name="64 KiB sent")
        client.post("/json", data=b"x" * 110_000, name="too large")
        for size in ("exact", "above"):
            etag = client.get(f"/files/{size}.json", name=size).headers["etag"]
            client.get(f"/files/{size}.json", name=f"{size} again", headers={"If-None-Match": etag})
            for place in ("packed", "chunked"):
                answer = client.get(f"/{place}/{size}.json", name=f"{size} {place}")
                assert len(answer.content) == 65_536 + (size == "above"), len(answer.content)
        for code in (301, 302, 303, 307, 308):
            client.get(f"/moved/{code}", name=f"moved {code}")
            client.get(f"/moved/{code}", name=f"moved {code}, not followed", allow_redirects=False)
        for place in ("none", "teapot", "broken", "nowhere", "loop"):
            client.get(f"/{place}", name=place)
        with user.stream_events("/events?n=3", "events") as events:
            return [event.id for event in events]

    return one_task(body)


def certificates() -> Any:
    """TLS, with and without a look at the certificate."""

    class Verifying(BASE):  # type: ignore[misc,valid-type]
        abstract = True
        insecure = False
        max_retries = 0

        @staticmethod
        def ssl_context_factory(cafile: str | None = None) -> ssl.SSLContext:
            return ssl.create_default_context(cafile=TARGET["authority"])

        def on_start(self) -> None:
            if KIND == "requests":
                self.client.verify = TARGET["authority"]

    def body(user: Any) -> None:
        for name, url in TARGET["tls"].items():
            user.client.get(f"{url}/json", name=name)
        with user.stream_events(f"{TARGET['tls']['trusted']}/events?n=3", "events") as events:
            assert len(list(events)) == 3
        with user.stream_events(f"{TARGET['tls']['wrong_host']}/events?n=3", "no events") as events:
            assert not list(events)

    return one_task(body, Verifying)


def many() -> Any:
    """Five users that make N requests together."""
    left = [N]

    class Web(BASE):  # type: ignore[misc,valid-type]
        host = TARGET["address"]

        @task
        def ask(self) -> None:
            if left[0] == 0:
                gevent.sleep(60)
            left[0] -= 1
            with self.client.get("/json", catch_response=True) as response:
                response.success()

    bench = Bench(Web)
    rows = bench.run(5, lambda: len(bench.recorder.rows) == N, limit_s=300)
    return {
        "ids": [row["correlation_id"] for row in rows],
        "outcomes": list({row["outcome"] for row in rows}),
    }


if __name__ == "__main__":
    KIND, _, SCENARIO = sys.argv[1].partition(":")
    BASE: Any = KINDS[KIND]
    TARGET = json.loads(sys.argv[2])
    N = int(sys.argv[3])
    print(json.dumps(globals()[SCENARIO]()))
