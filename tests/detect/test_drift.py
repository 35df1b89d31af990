"""Schema drift."""

from __future__ import annotations

from streamlab_plugin.detect.drift import ENDPOINT_LIMIT, HASH_LIMIT, SchemaDrift

OLD = ("id:text", "temp:number")
NEW = ("id:text", "temperature:number")


def settled(min_records: int = 3) -> SchemaDrift:
    """Return a detector whose endpoint ``e`` has settled on the shape ``old``."""
    drift = SchemaDrift(min_records)
    for _ in range(min_records):
        assert drift.observe("e", "old", OLD) is None
    return drift


def message(drift: SchemaDrift, schema_hash: str, paths: tuple[str, ...]) -> str:
    """Return what the detector says about a shape of the endpoint ``e``."""
    finding = drift.observe("e", schema_hash, paths)
    assert finding is not None
    return finding.message


class TestSchemaDrift:
    """A shape is drift when it is new to an endpoint that has settled."""

    def test_trap_drift_is_found(self) -> None:
        """A renamed field is found and named."""
        assert "temp:number gone, temperature:number new" == message(settled(), "new", NEW)

    def test_every_record_of_the_new_shape(self) -> None:
        """Each record of the drifted shape counts, and the old shape stays normal."""
        drift = settled()
        assert 5 == sum(drift.observe("e", "new", NEW) is not None for _ in range(5))
        assert drift.observe("e", "old", OLD) is None

    def test_before_settling(self) -> None:
        """A shape that shows up one record earlier is normal for good."""
        drift = SchemaDrift(50)
        for _ in range(49):
            drift.observe("e", "old", OLD)
        assert drift.observe("e", "new", NEW) is None
        assert drift.observe("e", "old", OLD) is None
        assert drift.observe("e", "new", NEW) is None
        assert drift.observe("e", "third", ("x:text",)) is not None

    def test_exactly_at_the_limit(self) -> None:
        """The record right after min_records of another shape is drift."""
        assert settled(50).observe("e", "new", NEW) is not None

    def test_other_endpoints(self) -> None:
        """An endpoint's shapes say nothing about another's."""
        assert settled().observe("f", "new", NEW) is None

    def test_changed_type(self) -> None:
        """A field that keeps its name but not its type is one change."""
        drift = settled()
        assert "temp changed from number to text" == message(drift, "new", ("id:text", "temp:text"))

    def test_nearest_shape(self) -> None:
        """With several normal shapes, the message compares with the most similar one."""
        drift = SchemaDrift(2)
        drift.observe("e", "ack", ("ok:boolean",))
        drift.observe("e", "old", OLD)
        drift.observe("e", "old", OLD)
        assert "ok:boolean gone, done:boolean new" == message(drift, "new", ("done:boolean",))

    def test_message_length(self) -> None:
        """However many fields differ, the message has at most 200 characters."""
        assert 200 == len(message(settled(), "new", tuple(f"field_{number}:text" for number in range(99))))

    def test_shapes_are_bounded(self) -> None:
        """Beyond 64 shapes further new ones are findings that share one text."""
        drift = settled()
        found = [
            message(drift, f"hash{number}", (*OLD, f"k{number}:text")) for number in range(HASH_LIMIT + 5)
        ]
        assert [f"k{number}:text new" for number in range(HASH_LIMIT - 1)] == found[: HASH_LIMIT - 1]
        assert {"another new shape, after 64 different ones"} == set(found[HASH_LIMIT - 1 :])
        assert drift.observe("e", "old", OLD) is None

    def test_shapeless_endpoint(self) -> None:
        """An endpoint that never repeats a shape often enough never drifts."""
        drift = SchemaDrift(3)
        for number in range(HASH_LIMIT + 1):
            assert drift.observe("e", f"hash{number}", (f"k{number}:text",)) is None
        assert [None] * 6 == [drift.observe("e", name, OLD) for name in ("a", "a", "a", "a", "b", "hash1")]

    def test_endpoints_are_bounded(self) -> None:
        """Beyond 10,000 endpoints further ones are not watched."""
        drift = settled(1)
        for number in range(ENDPOINT_LIMIT):
            drift.observe(f"e{number}", "old", OLD)
        assert drift.observe("e", "new", NEW) is not None
        assert [None, None] == [drift.observe("last", name, OLD) for name in ("old", "new")]
