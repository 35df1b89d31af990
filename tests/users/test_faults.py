"""What the injector does around a user's life; what each kind does is in e2e/test_injected_faults.py."""

from __future__ import annotations

from users.conftest import Broker, Drive, Target

RUN = "run_faults.py"


class TestHold:
    def test_websocket_user_ends(self, drive: Drive, ws_target: Target) -> None:
        """Messages that are still held back when the user ends are interrupted, and the server saw none."""
        result = drive(RUN, "held_websocket", ws_target.address)
        rows = [row for row in result["rows"] if row["name"] == "held"]
        assert [("interrupted", "held:reorder")] * 2 == [(row["outcome"], row["fault"]) for row in rows]
        assert [] == ws_target.noted("seen")
        assert result["drained"]

    def test_mqtt_user_ends(self, drive: Drive, broker: Broker) -> None:
        """The same for publishes, with and without acknowledgement."""
        result = drive(RUN, "held_mqtt", f"mqtt://127.0.0.1:{broker.address}")
        rows = [row for row in result["rows"] if row["name"] == "held"]
        assert [("interrupted", "held:reorder")] * 2 == [(row["outcome"], row["fault"]) for row in rows]
        assert [] == broker.topics("Received from")

    def test_depth(self, drive: Drive, ws_target: Target) -> None:
        """A message goes when as many as were said have overtaken it."""
        rows = [row for row in drive(RUN, "overtaken", ws_target.address) if row["name"] == "overtaken"]
        assert [None, None, "reorder:reorder", None] == [row["fault"] for row in rows]
        assert [1, 2, 0, 3] == ws_target.noted("seen")


class TestSeed:
    def test_another_process(self, drive: Drive, ws_target: Target) -> None:
        """The same seed strikes the same operations of the same users; another seed does not."""
        first, second, other = (drive(RUN, "seeded", ws_target.address, seed) for seed in (7, 7, 8))
        assert first == second != other
        assert [f"user Api/0/{number}" for number in (1, 2, 3)] == list(first)
        assert [40] * 3 == [len(labels) for labels in first.values()]
        assert {None, "a:duplicate", "b:delay"} == {label for labels in first.values() for label in labels}
        assert len({str(labels) for labels in first.values()}) == 3

    def test_another_test(self, drive: Drive, ws_target: Target) -> None:
        """A second test in the same process begins anew."""
        first, second = drive(RUN, "again", ws_target.address, 7)
        assert 20 == len(first)
        assert first == second


class TestOf:
    def test_refused(self, drive: Drive) -> None:
        """A plain list stops the test with one line, whatever the user."""
        assert ["StopTest: Api.faults must be Faults([...]), got list"] * 4 == drive(RUN, "wrong", "ws://x")

    def test_listener(self, drive: Drive, ws_target: Target) -> None:
        """Who only listens reads nothing for a while behind a message: a reply has to wait."""
        rows = drive(RUN, "listener", ws_target.address)
        assert {"slow:slow_consumer"} == {row["fault"] for row in rows if row["operation"] == "push"}
        (request,) = [row for row in rows if row["operation"] == "request"]
        assert ("slow:slow_consumer", "success") == (request["fault"], request["outcome"])
        assert request["latency_ms"] > 250

    def test_of_a_scenario(self, drive: Drive, broker: Broker) -> None:
        """What a scenario says is injected as it is: three messages for one, and pauses behind deliveries."""
        result = drive(RUN, "of_scenario", f"mqtt://127.0.0.1:{broker.address}")
        rows = result["rows"]
        delivered = [row for row in rows if row["operation"] == "deliver"]
        assert {"slow_consumer:slow_consumer"} == {row["fault"] for row in delivered}
        assert 6 == len(delivered)
        published = [row["fault"] for row in rows if row["operation"] == "publish"]
        assert ["duplicate:duplicate"] * 2 == published
        assert result["took_s"] > 0.25


class TestHttp:
    def test_redirected(self, drive: Drive, kind: str, http_target: Target) -> None:
        """The request is struck, not what it is redirected to: each copy follows, and one row says so."""
        result = drive(RUN, f"{kind}:redirected", http_target.address)
        assert ["duplicate:duplicate"] == [row["fault"] for row in result["rows"]]
        assert [1, 1, 9, 9] == sorted(http_target.noted("seen"))
        assert result["drained"]

    def test_bodies_that_are_read_where_they_are_sent(
        self, drive: Drive, kind: str, http_target: Target
    ) -> None:
        """They are left alone, and no record says otherwise; requests makes a form a text before."""
        rows = drive(RUN, f"{kind}:form", http_target.address)
        changed = {"fast": None, "requests": "malformed:malformed"}[kind]
        assert [("form", changed), ("stream", None)] == [(row["name"], row["fault"]) for row in rows]

    def test_nobody_there(self, drive: Drive, kind: str, http_target: Target) -> None:
        """A connection that cannot be had cannot be dropped: the error is the real one."""
        (row,) = drive(RUN, f"{kind}:down", http_target.address)
        assert ("ConnectionRefusedError", "drop_connection:drop_connection") == (row["error"], row["fault"])
