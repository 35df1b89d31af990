"""The pages on Locust's own web UI: base path, login, links."""

from __future__ import annotations

import http.client
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness import Place, free_port, wait_for

LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, events, task
from streamlab_plugin import install
install()

class App(FastHttpUser):
    wait_time = constant_throughput(20)

    @task
    def item(self):
        self.client.get("/ok")
"""
LOGIN = """
from flask import make_response
from flask_login import UserMixin, login_user

class Tester(UserMixin):
    id = "tester"

@events.init.add_listener
def on_init(environment, web_ui, **_):
    if web_ui is None:
        return
    web_ui.app.secret_key = "for this test only"
    web_ui.login_manager.user_loader(lambda _id: Tester())

    @web_ui.app.route("/enter")
    def enter():
        login_user(Tester())
        return make_response("in")
"""


class Browser:
    """A client that follows no redirect and keeps its cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""

    def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        """Return status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={"Cookie": self.cookie} if self.cookie else {})
        answer = connection.getresponse()
        body, headers = answer.read().decode(), dict(answer.getheaders())
        connection.close()
        if "Set-Cookie" in headers:
            self.cookie = headers["Set-Cookie"].split(";")[0]
        return answer.status, body, headers


@contextmanager
def web_ui(place: Place, server: Any, text: str, *arguments: str) -> Iterator[Browser]:
    """Run Locust with its web UI until the block ends."""
    (place.folder / "locustfile.py").write_text(text)
    port = free_port()
    command = ["-m", "locust", "--autostart", "-u", "2", "-H", server.url, "--web-host", "127.0.0.1",
               "--web-port", str(port), *arguments]  # fmt: skip
    locust = place.start(sys.executable, *command, log="locust.log")
    try:
        wait_for(lambda: place.value("SELECT sum(stored) FROM processes"), "records are stored", timeout_s=30)
        yield Browser(port)
    finally:
        locust.process.terminate()
        locust.wait(60)


class TestBasePath:
    """--web-base-path."""

    def test_pages_data_and_links_are_under_it(self, place: Place, server: Any) -> None:
        """Nothing of ours is elsewhere, and no link leads out of it."""
        with web_ui(place, server, LOCUSTFILE, "--web-base-path", "/load") as browser:
            status, page, _headers = browser.get("/load/streamlab/")
            assert 200 == status
            page = re.sub(r"(?s)<template.*?</template>", "", page)  # filled in by the script
            links = re.findall(r'(?:href|src|data-poll)="(/[^"]*)"', page)
            assert links
            assert [] == [link for link in links if not link.startswith("/load/")]
            for link in links:
                assert 200 == browser.get(link)[0], link
            assert 'href="/load/streamlab/"' in browser.get("/load/")[1]
            assert 404 == browser.get("/streamlab/")[0]


class TestLogin:
    """--web-login guards every one of our routes."""

    def test_without_a_login_nothing_is_shown(self, place: Place, server: Any) -> None:
        """Locust's login page instead; afterwards the pages."""
        with web_ui(place, server, LOCUSTFILE + LOGIN, "--web-login") as browser:
            for part in ("", "anomalies/", "api/v1/overview", "static/streamlab.css", "nonsense"):
                status, body, headers = browser.get(f"/streamlab/{part}")
                assert (302, True) == (status, "login" in headers["Location"]), part
                assert "p95" not in body
            assert 200 == browser.get("/enter")[0]
            assert 200 == browser.get("/streamlab/")[0]
            assert 200 == browser.get("/streamlab/api/v1/overview")[0]


class TestOrigin:
    """Locust lets any origin read its answers; ours do not."""

    def test_no_foreign_origin_may_read(self, place: Place, server: Any) -> None:
        """Pages and API name their own origin, never a star."""
        with web_ui(place, server, LOCUSTFILE) as browser:
            for path in ("/streamlab/", "/streamlab/api/v1/overview"):
                assert (
                    f"http://127.0.0.1:{browser.port}" == browser.get(path)[2]["Access-Control-Allow-Origin"]
                )
