"""What the names of fields decide."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.bucket import Bucket
from streamlab_plugin.privacy.policy import Action, Policy, extended_policy, parse_policy


class TestAction:
    """`Policy.action`."""

    @pytest.mark.parametrize("name", ["userId", "USER-ID", "user_id", "user.id", "User Id", "USERID"])
    def test_spelling_does_not_matter(self, name: str) -> None:
        """Case, dashes, underscores, dots and blanks make no difference."""
        assert parse_policy({"hash": ["user_id"]}).action(name) is Action.HASH

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("uid", Action.HASH), ("userId", Action.HASH), ("USER-ID", Action.HASH), ("user.id", Action.HASH)]
        + [("traceId", Action.HASH), ("X-Request-Id", Action.HASH), ("correlationId", Action.HASH)]
        + [(name, Action.BUCKET) for name in ("lat", "lon", "lng", "LATITUDE", "longitude")]
        + [(name, Action.KEEP) for name in ("latency_ms", "platform", "quality_score", "eventType", "ts")]
        + [(name, Action.REMOVE) for name in ("password", "E-Mail", "firstName", "voiceSample", "message")]
        + [(name, Action.DROP) for name in ("relation", "flat", "colony", "explanation", "data")],
    )
    def test_packaged_policy(self, packaged: Policy, name: str, expected: Action) -> None:
        """Each level of the packaged policy works, and coordinates are known by whole names only."""
        assert packaged.action(name) is expected

    def test_stricter_action_wins(self) -> None:
        """In a policy built by hand, remove wins over hash, hash over bucket, bucket over keep."""
        both = frozenset({"a", "b", "c"})
        buckets = dict.fromkeys("abc", Bucket("degrees", 0.1))
        policy = Policy(keep=both, hash=frozenset({"a", "b"}), bucket=buckets, remove=frozenset({"a"}))
        assert [policy.action(name) for name in "abc"] == [Action.REMOVE, Action.HASH, Action.BUCKET]

    @pytest.mark.parametrize("name", ["user_passwords", "homePhones", "contact-addresses", "emailList"])
    def test_telling_word_removes_an_unlisted_name(self, name: str) -> None:
        """A container that says what is in it goes as a whole."""
        assert parse_policy({}).action(name) is Action.REMOVE

    @pytest.mark.parametrize("name", ["invoice", "scoreboard", "passenger", "hostname"])
    def test_part_of_a_word_does_not(self, name: str) -> None:
        """Only whole words tell."""
        assert parse_policy({}).action(name) is Action.DROP

    def test_overlong_name_is_data(self) -> None:
        """A key of kilobytes is no field name, however it normalises."""
        assert parse_policy({"keep": ["type"]}).action("t" + "." * 100 + "ype") is Action.REMOVE


class TestParsePolicy:
    """`parse_policy`."""

    @pytest.mark.parametrize(
        ("document", "path", "words"),
        [
            (["keep"], (), "mapping"),
            ({"keeps": ["a"]}, ("keeps",), "unknown key 'keeps'"),
            ({"keep": "type"}, ("keep",), "list of field names, got str"),
            ({"keep": ["type", 3]}, ("keep", 1), "field name, got 3"),
            ({"keep": ["--"]}, ("keep", 0), "field name, got '--'"),
            ({"keep": ["x", "userId"], "hash": ["user_id"]}, ("hash", 0), "under `keep` and under `hash`"),
            ({"keep": ["type", "Pass-Word"]}, ("keep", 1), "'Pass-Word' is always removed"),
            ({"hash": ["email"]}, ("hash", 0), "always removed"),
            ({"bucket": ["address"]}, ("bucket", 0), "always removed"),
            ({"bucket": [{"name": "age"}]}, ("bucket", 0), "'age' needs one of degrees, step, minutes"),
            ({"bucket": [{"step": 3}]}, ("bucket", 0), "field name, got None"),
            ({"bucket": [{"name": "a", "step": 0}]}, ("bucket", 0, "step"), "above 0, got 0"),
            ({"bucket": [{"name": "a", "minutes": "5"}]}, ("bucket", 0, "minutes"), "above 0, got '5'"),
            ({"bucket": [{"name": "a", "minutes": 0.5}]}, ("bucket", 0, "minutes"), "whole number, got 0.5"),
            ({"bucket": [{"name": "a", "degrees": 0.01}]}, ("bucket", 0), "outside 0.1..90"),
            ({"endpoints": ["/a"]}, ("endpoints",), "mapping of endpoint patterns, got list"),
            ({"endpoints": {"/a": ["x"]}}, ("endpoints", "/a"), "mapping, got list"),
            ({"endpoints": {7: {}}}, ("endpoints", "7"), "a pattern, got 7"),
            ({"endpoints": {"/a": {"kep": []}}}, ("endpoints", "/a", "kep"), "unknown key 'kep'"),
            (
                {"endpoints": {"/a": {"keep": ["x", "email"]}}},
                ("endpoints", "/a", "keep", 1),
                "'email' is always removed",
            ),
            ({"bucket_degrees": "0.1"}, ("bucket_degrees",), "number of degrees, got '0.1'"),
            ({"bucket_degrees": True}, ("bucket_degrees",), "number of degrees, got True"),
            ({"bucket_degrees": 0.001}, ("bucket_degrees",), "outside 0.1..90"),
            ({"bucket_degrees": float("nan")}, ("bucket_degrees",), "outside 0.1..90"),
        ],
    )
    def test_mistake(self, document: object, path: tuple[str | int, ...], words: str) -> None:
        """Every mistake names its place and its value and says what to do."""
        with pytest.raises(ConfigError) as caught:
            parse_policy(document)
        assert path == caught.value.path
        assert words in caught.value.what
        assert caught.value.remedy

    def test_removing_what_is_always_removed_is_fine(self) -> None:
        """A policy may repeat what holds anyway."""
        assert parse_policy({"remove": ["password"]}).action("password") is Action.REMOVE

    def test_empty_lists(self) -> None:
        """An empty document keeps nothing."""
        assert parse_policy({"keep": None}).action("type") is Action.DROP


class TestExtendedPolicy:
    """`extended_policy`."""

    def test_moves_names(self) -> None:
        """What a document lists leaves the list in which the default has it; the rest stays."""
        default = {"keep": ["temperature", "humidity"], "hash": ["user_id"], "bucket_degrees": 0.5}
        own = {"remove": ["Temperature"], "keep": ["plan"]}
        policy = parse_policy(extended_policy(default, own))
        names = ("temperature", "plan", "humidity", "user_id")
        expected = [Action.REMOVE, Action.KEEP, Action.KEEP, Action.HASH]
        assert expected == [policy.action(name) for name in names]

    def test_buckets(self) -> None:
        """The size of buckets is inherited; an entry with a size of its own leaves the list it was in."""
        default = {"keep": ["age"], "bucket": ["lat", {"name": "Speed", "step": 5}], "bucket_degrees": 0.5}
        policy = parse_policy(extended_policy(default, {"bucket": [{"name": "age", "step": 10}, "speed"]}))
        assert {
            "lat": Bucket("degrees", 0.5),
            "age": Bucket("step", 10.0),
            "speed": Bucket("degrees", 0.5),
        } == policy.bucket
        assert policy.action("age") is Action.BUCKET

    def test_endpoints_join(self) -> None:
        """Patterns of both documents stay; one that both have is the later document's."""
        default = {"endpoints": {"/a": {"keep": ["x"]}, "/b": {"keep": ["x"]}}}
        policy = parse_policy(extended_policy(default, {"endpoints": {"/b": {"hash": ["x"]}}}))
        assert [Action.KEEP, Action.HASH] == [policy.at(name).action("x") for name in ("/a", "/b")]


class TestEndpoints:
    """`Policy.at`."""

    DOCUMENT: ClassVar[dict[str, Any]] = {
        "keep": ["status", "score"],
        "endpoints": {
            "/api/**": {"keep": ["plan"]},
            "/api/*/voice": {"remove": ["score"]},
            "/api/users/voice": {"hash": ["score"], "bucket": [{"name": "at", "minutes": 5}]},
            "#": {"keep": ["topic"]},
        },
    }

    @pytest.mark.parametrize(
        ("endpoint", "score", "plan"),
        [
            ("/api/orders", Action.KEEP, Action.KEEP),
            ("/api/x/voice", Action.REMOVE, Action.DROP),
            ("/api/users/voice", Action.HASH, Action.DROP),
            ("elsewhere", Action.KEEP, Action.DROP),
        ],
    )
    def test_most_specific_wins(self, endpoint: str, score: Action, plan: Action) -> None:
        """S002-112: Of the patterns that match, one counts, laid over the lists of the whole policy."""
        policy = parse_policy(self.DOCUMENT).at(endpoint)
        assert [score, plan, Action.KEEP] == [policy.action(name) for name in ("score", "plan", "status")]

    def test_title_says_which(self) -> None:
        """Who asks why is told the pattern."""
        policy = parse_policy(self.DOCUMENT)
        assert "/api/users/voice" in policy.at("/api/users/voice").decide("score").reason
        assert policy.at("x").title == "the policy for #"

    def test_none(self) -> None:
        """Without patterns there is one policy for all."""
        policy = parse_policy({"keep": ["x"]})
        assert policy is policy.at("/anything")


class TestUnsafe:
    """Names that are always removed, and are stored all the same."""

    def test_only_with_leave(self) -> None:
        """The mark in the document lets a policy list such names, and nothing else gets through."""
        policy = parse_policy({"keep": ["comment"], "allow_unsafe": True})
        assert [Action.KEEP, Action.REMOVE] == [policy.action(name) for name in ("comment", "password")]
