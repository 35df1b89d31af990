"""How the names of fields are compared."""

from __future__ import annotations

import pytest

from streamlab_plugin.privacy.name import normalise, removed_class, telling_word, words


class TestNormalise:
    """`normalise`."""

    @pytest.mark.parametrize(
        "name",
        [
            "user_id",
            "userId",
            "USER-ID",
            "user.id",
            "User Id",
            "USERID",
            "user/id",
            "user:id",
            "user[id]",
            "ｕｓｅｒ＿ｉｄ",
            "user\u200b_id",
            "us\u00ader_id",
            "úser_id",
        ],
    )
    def test_spellings(self, name: str) -> None:
        """Case, separators, accents, wide and invisible characters make no difference."""
        assert normalise(name) == "userid"

    def test_other_letters_stay_apart(self) -> None:
        """Letters of other scripts are others, however they look: such a name is simply not listed."""
        assert normalise("usеr_id") != "userid"

    def test_folding_is_unicodes(self) -> None:
        """Case is folded as Unicode says."""
        assert normalise("STRASSE") == normalise("Straße")


class TestWords:
    """`words`."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("homePhones", ["home", "phones"]),
            ("HTTPStatus", ["http", "status"]),
            ("home-phones.2", ["home", "phones"]),
            ("email1", ["email"]),
            ("userIDs", ["user", "i", "ds"]),
            ("", []),
        ],
    )
    def test_split(self, name: str, expected: list[str]) -> None:
        """Capitals, digits and separators part words."""
        assert expected == words(name)


class TestRemovedClass:
    """`removed_class`."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("password", "credentials"),
            ("voiceSample", "voice, images and biometrics"),
            ("comment", "free text"),
            ("Last-Name", "names of people"),
            ("e.mail", "ways to reach people"),
            ("dateOfBirth", "birth, identity and bank numbers"),
            ("message_size", None),
            ("platform", None),
            ("latency_ms", None),
        ],
    )
    def test_class(self, name: str, expected: str | None) -> None:
        """Whole names count: the size of a message is no message."""
        assert expected == removed_class(normalise(name))


class TestTellingWord:
    """`telling_word`."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("user_passwords", "password"),
            ("homePhones", "phone"),
            ("contactAddresses", "address"),
            ("email1", "email"),
            ("hostname", None),
            ("passenger", None),
            ("message_stats", None),
            ("photoCount", None),
        ],
    )
    def test_word(self, name: str, expected: str | None) -> None:
        """A word tells as a whole, in singular and plural, unless the name is that of a measurement."""
        assert expected == telling_word(name)
