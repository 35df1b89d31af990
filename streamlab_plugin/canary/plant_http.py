"""Plants people through HTTP, with both of Locust's clients."""

from __future__ import annotations

import logging
from typing import Any

from streamlab_plugin import HttpUser, RequestsUser
from streamlab_plugin.canary.planter import PLAN_HERE, Planter
from streamlab_plugin.canary.planting import Planting

logger = logging.getLogger("shop.orders")


class _Shopper(Planter):
    abstract = True
    protocol = "http"
    host = f"http://127.0.0.1:{PLAN_HERE.port('http')}"
    captured_types: tuple[str, ...] = ("/",)  # every body, of whatever type, goes to the recorder
    captures_requests = True
    client: Any

    def _post(
        self, planting: Planting, made: Any, answer: str, media_type: str | None = None, **more: Any
    ) -> Any:
        headers = {"X-Planting": str(planting.number), "X-Answer": answer}
        if media_type is None:
            headers["X-Place"] = "document"
            return self.client.post("/orders", json=made, headers=headers, **more)
        body = made if isinstance(made, bytes) else made.encode()
        return self.client.post("/orders", data=body, headers={**headers, "Content-Type": media_type}, **more)

    def plant_request_document(self, planting: Planting, made: Any) -> None:
        """Send a document; the answer is empty, so that the request's is what is captured."""
        self._post(planting, made, "nothing")

    def plant_answer_document(self, planting: Planting, made: Any) -> None:
        """Get a document back."""
        self._post(planting, made, "echo")

    def plant_request_body(self, planting: Planting, made: bytes) -> None:
        """Send a body of another type."""
        self._post(planting, made, "nothing", planting.media_type)

    def plant_answer_body(self, planting: Planting, made: bytes) -> None:
        """Get a body of another type back."""
        self._post(planting, made, "echo", planting.media_type)

    def plant_error_body(self, planting: Planting, made: str) -> None:
        """Be refused with a text, and fail with it."""
        with self._post(
            planting, made, "error", "text/plain; charset=utf-8", catch_response=True
        ) as response:
            response.failure(f"refused: {response.text}")

    def plant_reason_phrase(self, planting: Planting, made: str) -> None:
        """Be refused in the status line."""
        self._post(planting, made, "reason", "text/plain; charset=utf-8")

    def plant_response_failure(self, _planting: Planting, made: str) -> None:
        """Decide oneself that an answer is a failure."""
        with self.client.get("/orders", catch_response=True) as response:
            response.failure(made)

    def plant_exception_in_a_block(self, _planting: Planting, made: str) -> None:
        """Fail while looking at an answer."""
        with self.client.get("/orders", catch_response=True):
            raise LookupError(made)

    def plant_chained_exception(self, planting: Planting, made: str) -> None:
        """Fail because of another failure, with the person in arguments and locals."""
        person = dict(planting.values)
        try:
            raise KeyError(made)
        except KeyError as error:
            raise RuntimeError("cannot greet", person) from error

    def plant_logged_exception(self, _planting: Planting, made: str) -> None:
        """Log a failure as a careful test does."""
        try:
            raise OSError(5, made)
        except OSError:
            logger.exception("the order failed: %s", made)

    def plant_log_line(self, _planting: Planting, made: str) -> None:
        """Log what happens."""
        logger.warning("retrying: %s", made)

    def plant_url(self, planting: Planting, made: str) -> str:
        """Ask for a path."""
        path = f"/people/{made}"
        self.client.get(path, headers={"X-Planting": str(planting.number), "X-Place": "path"})
        return path

    def plant_query(self, planting: Planting, made: str) -> str:
        """Ask with a query."""
        path = f"/search?q={made}"
        self.client.get(path, headers={"X-Planting": str(planting.number), "X-Place": "path"})
        return path

    def plant_header(self, planting: Planting, made: str) -> None:
        """Send a header."""
        headers = {"X-Planting": str(planting.number), "X-Place": "header", "X-Person": made}
        self.client.get("/orders", headers=headers)

    def plant_request_name(self, _planting: Planting, made: str) -> None:
        """Give a request a name that says too much."""
        self.client.get("/orders", name=f"/orders/of/{made}")


class FastShopper(_Shopper, HttpUser):
    """On geventhttpclient."""

    fixed_count = 4


class Shopper(_Shopper, RequestsUser):
    """On requests."""

    fixed_count = 4
