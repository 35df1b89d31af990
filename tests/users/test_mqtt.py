from __future__ import annotations

from collections import Counter

import pytest

from users.conftest import Broker, Drive, of

RUN = "run_mqtt.py"


class TestPublish:
    @pytest.mark.parametrize(("scenario", "status"), [("publish", 0), ("publish5", 16)])
    def test_each_qos(self, drive: Drive, broker: Broker, scenario: str, status: int) -> None:
        """Three publishes, three rows; MQTT 5 says that nobody has subscribed."""
        result = drive(RUN, scenario, broker.address)
        rows = of(result, "publish", outcome="success")
        assert [("q/0", 0), ("q/1", status)] == [(row["name"], row["status"]) for row in rows[:2]]
        assert [[True] * 4] == result["returned"]
        assert sorted(broker.topics("Received from")) == [row["name"] for row in rows]
        assert [1, 1, 1] == [row["stream_seq"] for row in rows]

    def test_busy(self, drive: Drive, broker: Broker) -> None:
        """The acknowledgement counts from when it came, not from when the process had time for it."""
        (row,) = of(drive(RUN, "busy", broker.address), "publish")
        assert 0 < row["latency_ms"] < 200

    def test_refused_by_the_broker(self, drive: Drive, broker: Broker) -> None:
        """An MQTT 5 failure code in the acknowledgement is an error."""
        result = drive(RUN, "refused5", broker.address)
        (row,) = of(result, "publish")
        assert ("error", 135, "publish refused: not authorised") == (
            row["outcome"],
            row["status"],
            row["text"],
        )

    def test_never_acknowledged(self, drive: Drive, broker: Broker) -> None:
        """It is a timeout, waited for or not."""
        result = drive(RUN, "unacknowledged", broker.address)
        assert ["timeout"] * 2 == [row["outcome"] for row in of(result, "publish")]
        assert result["returned"] == [[True, False]]

    def test_more_than_may_be_in_flight(self, drive: Drive, broker: Broker) -> None:
        """All are sent, each has its row, and the wait for a place is told apart."""
        result = drive(RUN, "flood", broker.address)
        rows = of(result, "publish", outcome="success")
        assert (list(range(1, 201)), [[True, True]]) == (
            sorted(row["stream_seq"] for row in rows),
            result["returned"],
        )
        waits = [row["wait_ms"] for row in rows]
        assert waits.count(None) >= 20
        assert any(wait is not None for wait in waits)

    def test_larger_than_the_socket_takes(self, drive: Drive, broker: Broker) -> None:
        """A message that does not fit the socket's buffer arrives whole, in each QoS."""
        result = drive(RUN, "big", broker.address)
        assert [[True] * 3, 3] == [result["returned"][0], len(broker.topics("Received from"))]

    def test_nonsense_instead_of_an_acknowledgement(self, drive: Drive, broker: Broker) -> None:
        """A packet that cannot be parsed ends the connection, and the publish with it."""
        result = drive(RUN, "malformed", broker.address)
        assert [("publish", "error", 130), ("close", "error", 130)] == sorted(
            [(row["operation"], row["outcome"], row["status"]) for row in result["rows"][1:]], reverse=True
        )


class TestConnect:
    def test_not_authorised(self, drive: Drive, broker: Broker) -> None:
        """A refusal has MQTT 5's code also in 3.1.1; what could not be sent has its row, too."""
        rows = drive(RUN, "unauthorised", broker.address)["rows"]
        assert [("connect", "error", 135), ("publish", "error", 128)] == [
            (row["operation"], row["outcome"], row["status"]) for row in rows
        ]

    def test_nobody_there(self, drive: Drive, broker: Broker) -> None:
        """A refused TCP connection is a failed connect."""
        rows = drive(RUN, "down", broker.address)["rows"]
        assert [("connect", "ConnectionRefusedError"), ("publish", "ConnectionLostError")] == [
            (row["operation"], row["error"]) for row in rows
        ]

    def test_no_answer(self, drive: Drive, broker: Broker) -> None:
        """A server that says nothing is a timeout."""
        (row,) = drive(RUN, "silent", broker.address)["rows"]
        assert ("connect", "timeout") == (row["operation"], row["outcome"])

    def test_no_descriptor_besides_the_socket(self, drive: Drive, broker: Broker) -> None:
        """Four hundred clients connect in one process, at one descriptor each."""
        result = drive(RUN, "crowd", broker.address)
        assert [400, 400] == [len(of(result, "connect", outcome="success")), *result["descriptors"]]


class TestSubscribe:
    def test_refused(self, drive: Drive, broker: Broker) -> None:
        """A failure code in the acknowledgement is an error."""
        result = drive(RUN, "refused_subscription", broker.address)
        (row,) = of(result, "subscribe")
        assert ("error", 128, [False]) == (row["outcome"], row["status"], result["returned"])


class TestDeliver:
    def test_measured_and_given_to_the_hook(self, drive: Drive, broker: Broker) -> None:
        """Each delivery is a row; only those stamped by this machine's clock have a latency."""
        result = drive(RUN, "deliver", broker.address)
        rows = of(result, "deliver", direction="in", outcome="success")
        known = [row for row in rows if row["name"] == "d/a"]
        assert [1, 2, 3] == sorted(row["stream_seq"] for row in known)
        assert all(row["latency_ms"] > 0 for row in known)
        others = [row for row in rows if row["name"] == "d/b"]
        assert [(None, None), (None, "elsewhere")] == [(row["latency_ms"], row["stream"]) for row in others]
        assert [["d/a", 0], ["d/a", 1], ["d/a", 2], ["d/b", "plain"], ["d/b", 9]] == sorted(
            result["returned"][0], key=str
        )
        assert result["errors"] == ["ValueError: hook broke"]

    def test_retained(self, drive: Drive, broker: Broker) -> None:
        """The age of a retained message is no latency."""
        (row,) = of(drive(RUN, "retained", broker.address), "deliver")
        assert ("r/1", None) == (row["name"], row["latency_ms"])


class TestClose:
    def test_of_our_own(self, drive: Drive, broker: Broker) -> None:
        """Disconnecting is a success."""
        (row,) = of(drive(RUN, "publish", broker.address), "close")
        assert ("success", 0, "out") == (row["outcome"], row["status"], row["direction"])

    def test_connection_vanishes(self, drive: Drive, broker: Broker) -> None:
        """It is one error and ends what was in flight; the next publish reconnects and subscribes again."""
        result = drive(RUN, "lost", broker.address)
        connects = len(of(result, "connect", outcome="success"))
        assert connects >= 2
        assert connects == len(of(result, "subscribe", outcome="success"))
        assert connects - 1 == len(of(result, "close", outcome="error"))
        assert result["returned"][0].count(False) == len(of(result, "publish", outcome="error"))

    def test_broker_that_does_not_close(self, drive: Drive, broker: Broker) -> None:
        """The run's end does not wait for it for ever, and its row is no error."""
        result = drive(RUN, "mute_end", broker.address)
        assert ([True], ["interrupted"]) == (
            [result["drained"]],
            [row["outcome"] for row in of(result, "close")],
        )


class TestKill:
    @pytest.mark.parametrize(
        "seed", [1, pytest.param(2, marks=pytest.mark.faults), pytest.param(3, marks=pytest.mark.faults)]
    )
    def test_rows_are_what_the_broker_saw(self, drive: Drive, broker: Broker, seed: int) -> None:
        """Whenever users are killed: one row per publish; deliveries, connections as the broker has them."""
        result = drive(RUN, "kill", broker.address, seed)
        rows = of(result, "publish")
        recorded = Counter(row["name"] for row in rows)
        seen = broker.topics("Received from")
        assert set(recorded.values()) == {1}
        assert set(seen) <= set(recorded)
        assert {row["name"] for row in rows if row["outcome"] != "interrupted"} <= set(seen)
        assert Counter(broker.topics("Sending to")) == Counter(row["name"] for row in of(result, "deliver"))
        assert ["success"] * broker.connections() == [row["outcome"] for row in of(result, "close")]
        assert {"success", "interrupted"} == {row["outcome"] for row in result["rows"]}
        assert (True, len(result["rows"]), []) == (result["drained"], result["late"], result["errors"])
