"""What the names of fields decide."""

from __future__ import annotations

import pytest

from streamlab_plugin.core.errors import ConfigError
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
        policy = Policy(keep=both, hash=frozenset({"a", "b"}), bucket=both, remove=frozenset({"a"}))
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
        assert policy.bucket_degrees == 0.5
