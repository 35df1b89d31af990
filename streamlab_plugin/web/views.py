"""The pages and the API behind them; a page shows its API's document, so that the two never disagree."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import NotFound

from streamlab_plugin import __version__
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.knowledge.signature import SEVERITIES
from streamlab_plugin.store import queries
from streamlab_plugin.web import documents, parameters
from streamlab_plugin.web.documents import Document
from streamlab_plugin.web.memory import Memory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.web.source import Source

API = "/api/v1"
_PERIODS = ("1", "60", "3600")
_LAST_KEY = 2**63 - 1


class Views:
    """Answer requests from a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._memory = Memory()

    def register(self, blueprint: Blueprint) -> None:
        """Add every route to *blueprint*."""
        for rule, name, view in (
            ("/", "overview", self.overview_page),
            ("/anomalies/", "anomalies", self.anomalies_page),
            ("/anomalies/<int:signature_id>/", "anomaly", self.anomaly_page),
            ("/runs/", "runs", self.runs_page),
            ("/runs/<run>/", "run", self.run_page),
            (f"{API}/health", "api_health", self.health),
            (f"{API}/overview", "api_overview", lambda: answer(self.overview())),
            (f"{API}/anomalies", "api_anomalies", lambda: answer(self.anomalies())),
            (f"{API}/anomalies/<int:signature_id>", "api_anomaly", self.anomaly_answer),
            (f"{API}/runs", "api_runs", lambda: answer(self.runs())),
            (f"{API}/runs/<run>", "api_run", lambda run: answer(self.run(run))),
            (f"{API}/runs/<run>/timeline", "api_timeline", lambda run: answer(self.timeline(run))),
            (f"{API}/runs/<run>/endpoints", "api_endpoints", lambda run: answer(self.endpoints(run))),
            # Unknown paths stay behind the guard and get our own error page.
            (f"{API}/<path:rest>", "api_unknown", unknown),
            ("/<path:rest>", "unknown", unknown),
        ):
            blueprint.add_url_rule(rule, name, view, methods=["GET"])

    def overview(self) -> Document:
        """Return the overview of this process's run, else of the latest."""
        now = self._source.now()
        own = self._source.run_of_this_process()
        query = partial(_overview, memory=self._memory, own=own, now=now)
        document, waiting = self._source.ask_with_spool(query)
        return {**document, "spool": waiting}

    def runs(self) -> Document:
        """Return the runs, newest first."""
        limit, now = parameters.limit(), self._source.now()
        return self._source.ask(lambda conn: documents.runs(conn, limit, now))

    def run(self, run: str) -> Document:
        """Return one run."""
        now = self._source.now()
        return self._source.ask(lambda conn: documents.run(conn, self._memory, run, now))

    def endpoints(self, run: str) -> Document:
        """Return the endpoints of one run."""
        now = self._source.now()
        return self._source.ask(lambda conn: documents.endpoints(conn, self._memory, run, now))

    def timeline(self, run: str) -> Document:
        """Return one run over time: ``period`` (1, 60, 3600), ``since`` (epoch), ``last`` (seconds)."""
        period = parameters.choice("period", _PERIODS)
        since, last_s = parameters.whole_number("since"), parameters.whole_number("last", least=1)
        now = self._source.now()
        return self._source.ask(
            lambda conn: documents.timeline(
                conn,
                self._memory,
                run,
                now,
                period_s=int(period) if period else None,
                since=since,
                last_s=last_s,
            )
        )

    def anomalies(self) -> Document:
        """Return signatures by ``severity``, ``status``, ``type`` and ``run``."""
        return self._source.ask(
            partial(
                documents.anomalies,
                severity=parameters.choice("severity", SEVERITIES),
                status=parameters.words("status"),
                anomaly_type=parameters.words("type"),
                wanted=parameters.words("run"),
                limit=parameters.limit(),
            )
        )

    def anomaly(self, signature_id: int) -> Document:
        """Return one signature, with its occurrences in ``run`` (default: the last that showed it)."""
        wanted = parameters.words("run")
        found = None
        if signature_id <= _LAST_KEY:
            found = self._source.ask(lambda conn: documents.anomaly(conn, signature_id, wanted))
        if found is None:
            raise NotFound(f"There is no anomaly {signature_id} in this database.")
        return found

    def health(self) -> Response:
        """Answer whether the store can be read."""
        self._source.ask(lambda conn: documents.runs(conn, 1, 0.0))
        return answer({"status": "ok", "version": __version__})

    def anomaly_answer(self, signature_id: int) -> Response:
        """Answer one signature as JSON."""
        return answer(self.anomaly(signature_id))

    def overview_page(self) -> str:
        """Show the overview."""
        return render_template("streamlab/overview.html", doc=self.overview(), active="overview")

    def anomalies_page(self) -> str:
        """Show the filterable list of anomalies."""
        return render_template(
            "streamlab/anomalies.html",
            doc=self.anomalies(),
            active="anomalies",
            severities=SEVERITIES[::-1],
            chosen={name: request.args.get(name, "") for name in ("severity", "type", "run", "status")},
        )

    def anomaly_page(self, signature_id: int) -> str:
        """Show one anomaly: what, since when, how sure, what to try."""
        return render_template("streamlab/anomaly.html", doc=self.anomaly(signature_id), active="anomalies")

    def runs_page(self) -> str:
        """Show the list of runs."""
        return render_template("streamlab/runs.html", doc=self.runs(), active="runs")

    def run_page(self, run: str) -> str:
        """Show one run."""
        return render_template("streamlab/run.html", doc=self.run(run), active="runs")


def answer(document: Document) -> Response:
    """Return *document* as JSON with an ETag of its content, or 304 if the client has it already."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    response = Response(body, mimetype="application/json")
    response.set_etag(hashlib.blake2b(body.encode(), digest_size=12).hexdigest())
    response.make_conditional(request)
    return response


def unknown(rest: str) -> Any:
    """Refuse a path that leads nowhere."""
    raise NotFound(f"There is no page at {rest[:80]!r}.")


def _overview(conn: Connection, *, memory: Memory, own: str | None, now: float) -> Document:
    try:
        return documents.overview(conn, memory, own or queries.LATEST, now)
    except ConfigError:
        # This process's run is known a moment before the recorder has stored it.
        return documents.overview(conn, memory, queries.LATEST, now)
