"""What escapes and encodings hide."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from streamlab_plugin.privacy.detector import ENCODED, clean_text
from streamlab_plugin.privacy.layers import DEPTH_LIMIT, layers

PERSONAL = {
    "e-mail": "bob.miller@example.com",
    "card": "4111 1111 1111 1111",
    "plain card": "378282246310005",
    "phone": "+49 170 1234567",
    "IBAN": "DE89 3704 0044 0532 0130 00",
}
INNOCENT = (
    "Connection refused (111)",
    "GET /api/v1/orders",
    "order 4111111111111112",
    "2026-11-21T07:40:00.123Z",
    "user not found: 42",
    "550e8400-e29b-41d4-a716-446655440000",
    "9f86d081884c7d659a2feaa0c55ad015",
)


def percent(text: str) -> str:
    """Escape every character as in a URL."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def backslashes(text: str) -> str:
    """Escape every character as in JSON."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


def hexadecimal(text: str) -> str:
    """Escape every character as in the repr of bytes."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def entities(text: str) -> str:
    """Escape every character as in HTML, in decimal and hexadecimal form."""
    return "".join(f"&#{ord(char)};" if at % 2 else f"&#x{ord(char):x};" for at, char in enumerate(text))


def base64_text(text: str) -> str:
    """Encode as in a header."""
    return base64.b64encode(text.encode()).decode()


def base64_json(text: str) -> str:
    """Encode an object that has the text in it, for URLs."""
    return base64.urlsafe_b64encode(json.dumps({"id": 7, "value": text}).encode()).decode().rstrip("=")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "percent": percent,
    "URL": lambda text: quote(text, safe=""),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent twice": lambda text: quote(percent(text)),
    "entities": entities,
    "entities twice": lambda text: html.escape(entities(text)),
    "backslashes": backslashes,
    "backslashes twice": lambda text: backslashes(text).replace("\\", "\\\\"),
    "hexadecimal": hexadecimal,
    "base64": base64_text,
    "base64 of JSON": base64_json,
    "base64 twice": lambda text: base64_text(base64_text(text)),
    "base64 in a URL": lambda text: quote(base64_text(text), safe=""),
    "percent in base64": lambda text: base64_text(percent(text)),
}
LOOKS: dict[str, Callable[[str], str]] = {
    "wide": lambda text: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
    "zero width": "\u200b".join,
    "joiners": lambda text: text.replace("1", "1\u2060").replace("@", "\u00ad@\ufeff"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "dashes": lambda text: text.replace(" ", "\u2011"),
}
SURROUNDINGS = ("{}", "value={}", "failed: '{}' rejected", "<{}>, retry", '{{"v":"{}"}}'.replace("{{", "x{{"))


def is_gone(personal: str, text: str) -> bool:
    """Return whether no six characters of *personal* can be read in *text*, escaped or not."""
    shown = [text, *layers(text)]
    pieces = [personal[at : at + 6] for at in range(len(personal) - 5)]
    return not any(piece in one for one in shown for piece in pieces)


@pytest.mark.parametrize("personal", PERSONAL.values(), ids=PERSONAL)
class TestPersonal:
    """`clean_text` on what is personal."""

    @pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
    def test_encoded(self, personal: str, encode: Callable[[str], str]) -> None:
        """It is found under each encoding, whatever stands around it."""
        for surrounding in SURROUNDINGS:
            text = surrounding.replace("{}", encode(personal))
            assert is_gone(personal, clean_text(text)), (text, clean_text(text))

    @pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
    def test_other_characters(self, personal: str, look: Callable[[str], str]) -> None:
        """It is found when it is written with characters that look the same, or with invisible ones."""
        for surrounding in SURROUNDINGS:
            text = surrounding.replace("{}", look(personal))
            assert is_gone(personal, clean_text(text)), (text, clean_text(text))


class TestMark:
    """What stands in its place."""

    def test_whole_word(self) -> None:
        """The word around it becomes one mark; the others stay."""
        word = base64_text("bob.miller@example.com")
        assert f"failed for {ENCODED} after 3 attempts" == clean_text(f"failed for {word} after 3 attempts")

    def test_payload_of_a_token(self) -> None:
        """A token is one as a whole, its payload alone is encoded data."""
        head, body = base64_json("HS256"), base64_json("bob.miller@example.com")
        assert "bad token [token]" == clean_text(f"bad token {head}.{body}.c2lnbmF0dXJl")
        assert "claims " + ENCODED == clean_text(
            "claims " + base64_text('[{"sub":"bob.miller@example.com"}]')
        )


class TestInnocent:
    """`clean_text` on what is not personal."""

    @pytest.mark.parametrize("innocent", INNOCENT)
    @pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
    def test_encoded(self, innocent: str, encode: Callable[[str], str]) -> None:
        """Under each encoding it is no finding."""
        assert ENCODED not in clean_text(f"value {encode(innocent)} rejected")

    @pytest.mark.parametrize(
        "text", ["café — 100 % übrig", "日本語のエラー", "ｅｒｒｏｒ ４２", "a\u200bb", "à\u00a0bientôt"]
    )
    def test_other_characters(self, text: str) -> None:
        """Texts of other languages stay as they are."""
        assert text == clean_text(text)

    @pytest.mark.parametrize(
        "text",
        [
            "/usr/lib/python3.11/site-packages/urllib3/connectionpool.py",
            "InternalServerErrorException", "MAX_CONCURRENT_CONNECTIONS", "100%25 &amp; more", "C:\\xampp\\a",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "SGVsbG8gV29ybGQsIGhvdyBhcmUgeW91",
        ],
    )  # fmt: skip
    def test_words(self, text: str) -> None:
        """Long words, paths and data are no encoded text."""
        assert ENCODED not in clean_text(text)


class TestLayers:
    """`layers`."""

    def test_outermost_first(self) -> None:
        """It takes off one layer after the other."""
        assert ["a%40b.co", "a@b.co"] == list(layers("a%2540b.co"))

    def test_depth(self) -> None:
        """It stops at the limit."""
        text = "a@b.co"
        for _ in range(DEPTH_LIMIT + 1):
            text = percent(text)
        assert "a@b.co" not in list(layers(text))

    def test_bounded(self) -> None:
        """A text made of many encodings gives few others."""
        word = base64_text("bob@example.com is here")
        assert 20 >= len(list(layers(f"{word}." * 300)))
        assert [] == list(layers("%41" * 2_000))

    @pytest.mark.parametrize("text", ["\\ud800", "\\u{110000}", "&#55296;", "%ff%fe", "AAAA" * 5, "=" * 9])
    def test_nothing_sensible(self, text: str) -> None:
        """What is no text gives no error."""
        for inner in layers(text):
            assert isinstance(clean_text(inner), str)
