"""The pages in a real browser, on a real server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from seeded import FINISHED, HOSTILE, RUNNING, Seeded, add_traffic, seed
from sqlalchemy import Engine, create_engine, insert, update
from werkzeug.serving import BaseWSGIServer

from streamlab_plugin.cli.ui import make_ui_server
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.web.formatting import FORMATS

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "overview": "/",
    "anomalies": "/anomalies/",
    "anomaly": "/anomalies/1/",
    "runs": "/runs/",
    "run": f"/runs/{FINISHED}/",
    "live-run": f"/runs/{RUNNING}/",
}


@dataclass
class Site:
    """A server of the pages that can go away and come back on the same port."""

    engine: Engine
    port: int = 0
    _server: BaseWSGIServer | None = None
    _thread: Thread | None = None

    def start(self) -> Site:
        """Serve, in a thread."""
        self._server = make_ui_server(self.engine, "127.0.0.1", self.port)
        self.port = self._server.port
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str = "/") -> str:
        """Return the address of a page."""
        return f"http://127.0.0.1:{self.port}/streamlab{path}"


@dataclass
class Visit:
    """A page, and everything it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def visit(context: BrowserContext, site: Site, path: str) -> Visit:
    """Open a page and note console errors, script errors, dialogs and requests to anywhere else."""
    seen = Visit(context.new_page())
    page = seen.page
    page.on("console", lambda said: said.type in ("error", "warning") and seen.complaints.append(said.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (seen.complaints.append(dialog.message), dialog.dismiss()))
    own = f"http://127.0.0.1:{site.port}/"
    page.on("request", lambda asked: asked.url.startswith(own) or seen.foreign.append(asked.url))
    page.goto(site.url(path))
    return seen


def wait_for_text(page: Page, selector: str, text: str) -> None:
    """Wait until an element says *text*."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)",
        arg=[selector, text],
        timeout=20_000,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """A database whose second run is going on right now."""
    return seed(f"sqlite:///{tmp_path_factory.mktemp('live') / 'streamlab.db'}", now=float(int(time.time())))


@pytest.fixture(scope="module")
def site(live: Seeded) -> Iterator[Site]:
    served = Site(open_store(live.url, read_only=True)).start()
    yield served
    served.stop()


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1280, 400])
    @pytest.mark.parametrize("name", list(PAGES))
    def test_page(self, browser: Browser, site: Site, name: str, width: int, scheme: Any) -> None:
        """A page fits its window, complains about nothing, and asks nobody else for anything."""
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        seen = visit(context, site, PAGES[name])
        if name in ("overview", "run", "live-run"):
            seen.page.wait_for_selector('[data-chart="latency"] path.curve', timeout=20_000)
            assert seen.page.locator("[data-chart] path.curve").count() >= 10
        if name == "anomaly":
            seen.page.wait_for_selector("rect.bar", timeout=20_000)
        wider = seen.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0
        assert seen.complaints == []
        assert seen.foreign == []
        context.close()

    def test_hostile_name(self, browser: Browser, site: Site) -> None:
        """Markup in a name is shown as text, at first paint and after the polls."""
        context = browser.new_context()
        seen = visit(context, site, "/anomalies/")
        wait_for_text(seen.page, "#connection", "live")
        assert HOSTILE in seen.page.inner_text("tbody")
        assert seen.page.locator("main img, main script").count() == 0
        assert seen.complaints == []
        context.close()

    def test_without_javascript(self, browser: Browser, site: Site) -> None:
        """The numbers of a finished run are the same with and without JavaScript."""
        texts = []
        for is_on in (False, True):
            context = browser.new_context(java_script_enabled=is_on)
            page = context.new_page()
            page.goto(site.url(f"/runs/{FINISHED}/"))
            texts.append(page.locator("main td.num").all_inner_texts())
            context.close()
        assert len(texts[0]) > 50
        assert texts[0] == texts[1]

    def test_tip(self, browser: Browser, site: Site) -> None:
        """Pointing at a chart tells time and values."""
        context = browser.new_context()
        page = visit(context, site, f"/runs/{FINISHED}/").page
        plot = page.locator('[data-chart="throughput"] .plot')
        page.wait_for_selector('[data-chart="throughput"] path.curve')
        plot.hover()
        text = plot.locator(".tip").inner_text()
        assert "mqtt:" in text
        assert "req/s" in text
        page.mouse.move(0, 0)
        assert plot.locator(".tip").is_hidden()
        context.close()

    def test_latency_of_one_protocol(self, browser: Browser, site: Site) -> None:
        """The latency chart can show one protocol."""
        context = browser.new_context()
        page = visit(context, site, f"/runs/{FINISHED}/").page
        page.wait_for_selector('[data-chart="latency"] path.curve')
        before = page.locator('[data-chart="latency"] svg').first.get_attribute("aria-label")
        page.select_option("#latency-of", "mqtt")
        after = page.locator('[data-chart="latency"] svg').first.get_attribute("aria-label")
        assert before != after
        context.close()

    def test_local_time(self, browser: Browser, site: Site) -> None:
        """Times are shown in the reader's time zone."""
        shown = []
        for zone in ("UTC", "Asia/Tokyo"):
            context = browser.new_context(timezone_id=zone)
            page = visit(context, site, f"/runs/{FINISHED}/").page
            page.wait_for_function("!document.querySelector('time').textContent.includes('UTC')")
            shown.append(page.inner_text("time"))
            context.close()
        assert shown[0] != shown[1]


class TestFormats:
    @pytest.mark.parametrize("form", sorted(set(FORMATS) - {"time"}))
    def test_twins(self, browser: Browser, site: Site, form: str) -> None:
        """A number reads the same from the server and from the browser."""
        values = [
            0,
            0.0001,
            0.004,
            0.0099,
            0.01,
            0.37,
            1,
            7.43,
            42.8,
            99.96,
            101,
            999.4,
            1309.7,
            61_234,
            98_765_432,
        ]
        context = browser.new_context()
        page = visit(context, site, "/runs/").page
        shown = page.evaluate(
            """async ([form, values]) => {
                const { formats } = await import("/streamlab/static/formats.js");
                return values.map((value) => formats[form](value));
            }""",
            [form, values],
        )
        assert shown == [FORMATS[form](value) for value in values]
        context.close()


class TestLive:
    @pytest.fixture
    def fresh(self, tmp_path: Path) -> Iterator[Site]:
        engine = create_engine(f"sqlite:///{tmp_path / 'streamlab.db'}")
        tables.metadata.create_all(engine)
        served = Site(engine).start()
        yield served
        served.stop()

    def begin_run(self, engine: Engine, began: int) -> None:
        with engine.begin() as conn:
            conn.execute(insert(tables.settings).values(id=1, hash="cafe", body="{}"))
            conn.execute(
                insert(tables.runs).values(
                    id=1, run=RUNNING, name="first light", state="running", run_day=began // 86400,
                    started_at=float(began), settings_id=1, key_id="k", host="http://target.test",
                    locustfile="f", expected_workers=0, versions="{}",
                )
            )  # fmt: skip
            conn.execute(
                insert(tables.processes).values(
                    id=1, process="p", run_id=1, role="standalone", pid=1, state="open",
                    opened_at=float(began), last_frame=1, produced=500, stored=480, quarantined=0,
                    dropped="{}", privacy="{}", users=7,
                )
            )  # fmt: skip
            for key, (protocol, operation) in enumerate((("websocket", "request"), ("http", "GET")), 1):
                conn.execute(
                    insert(tables.series).values(
                        id=key, protocol=protocol, operation=operation, endpoint="/x", direction="out",
                        user_class="U",
                    )
                )  # fmt: skip

    def add_second(self, engine: Engine, second: int, count: int) -> None:
        for period in (1, 60, 3600):
            with engine.begin() as conn:
                conn.execute(
                    insert(tables.rollups).prefix_with("OR REPLACE").values(
                        process_id=1, period_s=period, start=second - second % period, series_id=1,
                        count=count, errors=0, timeouts=0, interrupted=0, answered=count,
                        latency_count=0, latency_sum=0.0, size_sum=0,
                    )
                )  # fmt: skip

    def test_first_run_appears(self, browser: Browser, fresh: Site) -> None:
        """An open overview fills by itself when the first run begins, and its numbers keep moving."""
        context = browser.new_context()
        seen = visit(context, fresh, "/")
        seen.page.evaluate("window.isSamePage = true")
        assert seen.page.locator("text=No run recorded yet").is_visible()
        began = int(time.time()) - 3
        self.begin_run(fresh.engine, began)
        self.add_second(fresh.engine, began, 1234)
        wait_for_text(seen.page, "tbody", "1,234")
        assert seen.page.inner_text("h1 >> visible=true") == "first light"
        assert seen.page.locator("text=No run recorded yet").is_hidden()
        self.add_second(fresh.engine, began + 1, 1111)
        wait_for_text(seen.page, "tbody", "2,345")
        seen.page.wait_for_selector('[data-chart="throughput"] path.curve', timeout=20_000)
        assert seen.page.evaluate("window.isSamePage") is True
        assert seen.complaints == []
        context.close()

    def test_run_page_gets_its_verdict(self, browser: Browser, fresh: Site) -> None:
        """The page of a running run shows the verdict as soon as there is one."""
        began = int(time.time()) - 3
        self.begin_run(fresh.engine, began)
        context = browser.new_context()
        seen = visit(context, fresh, f"/runs/{RUNNING}/")
        assert "No verdict yet" in seen.page.inner_text("main")
        body = json.dumps({"kind": "met", "exit_code": 0, "reasons": [], "objectives": []})
        with fresh.engine.begin() as conn:
            conn.execute(update(tables.runs).values(state="completed", stopped_at=float(began + 3)))
            conn.execute(
                insert(tables.verdicts).values(
                    run_id=1, verdict="met", exit_code=0, decided_at=0.0, body=body
                )
            )
        wait_for_text(seen.page, "main", "Verdict: met")
        context.close()

    def test_chart_moves(self, browser: Browser, site: Site, live: Seeded) -> None:
        """New seconds enter the charts of a page that is open."""
        context = browser.new_context()
        page = visit(context, site, "/").page
        page.wait_for_selector('[data-chart="throughput"] path.curve')
        label = "document.querySelector('[data-chart=throughput] svg').getAttribute('aria-label')"
        before = page.evaluate(label)
        with live.engine().begin() as conn:
            add_traffic(conn, [3, 4], int(time.time()) - 20, 40)
        page.wait_for_function(f"(before) => {label} !== before", arg=before, timeout=20_000)
        context.close()

    def test_connection_lost_and_found(self, browser: Browser, fresh: Site) -> None:
        """A page whose server is gone says so, and recovers when it is back."""
        context = browser.new_context()
        page = visit(context, fresh, "/runs/").page
        wait_for_text(page, "#connection", "live")
        fresh.stop()
        wait_for_text(page, "#connection", "connection lost, retrying")
        fresh.start()
        wait_for_text(page, "#connection", "live")
        context.close()

    def test_store_page_recovers(self, browser: Browser, tmp_path: Path) -> None:
        """A page that could not read the store loads itself as soon as it can."""
        engine = create_engine(f"sqlite:///{tmp_path / 'late.db'}")
        served = Site(engine).start()
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(served.url())
            assert "The store cannot be read" in page.inner_text("main")
            tables.metadata.create_all(engine)
            wait_for_text(page, "main", "No run recorded yet")
        finally:
            context.close()
            served.stop()

    def test_hidden_page_rests(self, browser: Browser, site: Site) -> None:
        """A page in the background asks for nothing, and goes on when it is seen again."""
        context = browser.new_context()
        page = visit(context, site, "/runs/").page
        wait_for_text(page, "#connection", "live")
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        wait_for_text(page, "#connection", "paused")
        page.evaluate(
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))",
        )
        wait_for_text(page, "#connection", "live")
        context.close()

    def test_unchanged_answers_are_not_sent_again(self, browser: Browser, fresh: Site) -> None:
        """Polls of a page that does not change are answered 304."""
        context = browser.new_context()
        page = visit(context, fresh, "/runs/").page
        with page.expect_response(lambda answer: answer.status == 304, timeout=20_000):
            wait_for_text(page, "#connection", "live")
        context.close()
