"""What the text scan finds, and what it leaves alone."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab_plugin.privacy.card import is_card
from streamlab_plugin.privacy.detector import (
    TEXT_LIMIT,
    UNREADABLE,
    clean_long,
    clean_text,
    clean_value,
    is_clean,
    is_clean_value,
)
from streamlab_plugin.privacy.iban import is_iban

ORDINARY = [
    "HTTP 503: Service Unavailable for url: http://127.0.0.1:8000/api/items",
    "[Errno 111] Connection refused",
    "ConnectionRefusedError(111, 'Connection refused')",
    "Expecting value: line 1 column 1 (char 0)",
    "timed out after 5000 ms (limit 100.0 ms, p95 12.345678901234567)",
    "websocket closed 1006: abnormal closure, 1009, 1011, 1013",
    "MQTT rc=135 not authorised: client 42, quota 30 of 100 200 300",
    "2026-11-21 07:40:00,123 ERROR at 2026-11-21T07:40:07.123456789Z on 08-11-2026 07:40",
    "07.40.00.123 20261121074000 21.11.2026 11-21-2026",
    "epoch 1763710000 1763710000123 1763710000123456 1763710000123456789",
    "took 0.4111111111111111 s, 12.4111111111111111",
    "ids 4111111111111112 378282246310006 1234567890123 fail their check digit",
    "no space left: 3221225472 bytes of 4155551234, 0000000042",
    "locust/2.47.0 python 3.11.7 v1.2.3.4 version 10.1.2.3 oid 1.3.6.1.4.1",
    "listening on 0.0.0.0:8089 and ::1, ws://[::1]:8000/ws",
    "std::vector Failure:: a::, time 07:40:00",
    "KeyError: 'status' invalid key: user_id, monkey=1, max_tokens=100",
    "unexpected token: '<' in line 3",
    "Bearer authentication required, basic authentication failed, bearer token missing",
    "password: must be longer, token: expired, 401 Unauthorized",
    "{id} {} [0] {0: 1} 50% done @ node, a@b, lib@1.2.3",
    "GET /api/v1/users/{id}/orders failed: what now?",
    "naïve façade — 1234567 übrig…",
]

FOUND = [
    ("to bob@example.com now", "to [email] now"),
    ("bob.o'brien+x@mail.example.co.uk", "[email]"),
    ("bob%40example.com", "[email]"),
    ("jürgen@müller.de", "[email]"),
    ("root@localhost", "[email]"),
    ("/users/bob@example.com/orders", "/users/[email]/orders"),
    ("#@a.example, 'x y'@b.example", "[email], 'x y[email]"),
    ("card 4111 1111 1111 1111, code 42 378282246310005", "card [card], code 42 [card]"),
    ("4111-1111-1111-1111 3782 822463 10005", "[card] [card]"),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"),
    ("４１１１ 1111\u200b1111–1111", "[card]"),
    ("+49 170 1234567 or +14155550123", "[phone] or [phone]"),
    ("(415) 555-0123, 415-555-0123, 1-415-555-0123", "[phone], [phone], [phone]"),
    ("030 1234567; 01 23 45 67 89; 0171-2345678", "[phone]; [phone]; [phone]"),
    ("phone=5550123 tel: 4155550123", "phone=[phone] tel: [phone]"),
    ("0049 170 1234567", "[phone]"),
    ("ssn 123-45-6789, SSN: 123456789", "ssn [ssn], SSN: [ssn]"),
    ("DE89 3704 0044 0532 0130 00 refused", "[iban] refused"),
    ("gb82west12345698765432", "[iban]"),
    ("from 10.1.2.3:8080", "from [ip]:8080"),
    ("[2001:db8::1]:443 and fe80::1", "[[ip]]:443 and [ip]"),
    ("::ffff:10.0.0.1", "[ip]"),
    ("mac aa:bb:cc:dd:ee:ff", "mac [mac]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[token]"),
    ("Authorization: Bearer abc.def-123", "Authorization: [token]"),
    ("basic dXNlcjpwYXNz", "[token]"),
    ("sk-proj-abcdefghijklmnop", "[token]"),
    ("ghp_abcdefghijklmnop1234 AKIAIOSFODNN7EXAMPLE xoxb-1234-abcd", "[token] [token] [token]"),
    ("key=abc api_key='a b' Password: hunter2", "key=[token] api_key=[token] Password: [token]"),
    ('secret="two words", x', "secret=[token], x"),
    ("Set-Cookie: sid=abc; theme=dark", "Set-Cookie: [token]"),
    ("WfKq3T9dLx0PzRb7YhVn2McJ5gSaEu8wXo", "[token]"),
    ("//bob:pass@host/db", "//[token]@host/db"),
    ("postgresql://bob:pa/ss@host/db", "postgresql://[token]@host/db"),
    ("url: /api/items?user=bob&x=1 (Caused by", "url: /api/items?… (Caused by"),
    ("550e8400-e29b-41d4-a716-446655440000", "{uuid}"),
    ("sha 9f86d081884c7d659a2feaa0c55ad015", "sha {hash}"),
    ('400: {"name": "a } b", "x": {"y": [1]}} at once', "400: {…} at once"),
    ('b\'{"name": "Bob', "b'{…}"),
    ("[{'loc': ('name',), 'input': \"it's Bob\"}] end", "[{…}] end"),
    ('"{\\"name\\": \\"Bob } Smith\\"}"', '"{…}'),
]


# What patterns begin and end with, marks, and what folding and cutting change: in any order, a hostile text.
FRAGMENTS = [
    "bob@example.com", "@", "4111 1111 1111 1111", "+49 170 1234567", "0171", "DE89",
    "DE89370400440532013000", "10.0.0.1", "1.2.3.4", "version ", "fe80::1", "::", "aa:bb:cc:dd:ee:ff",
    "123-45-6789", "ssn ", "phone ", "order ", "key=", "password:", "Bearer ", "cookie: a=b", "//u:p@h/",
    "/home/bob", "?a=b", "/", "{'", '{"', "}", "[", "(", ")", "%40", "%2540", "&#64;", "&commat;",
    "\\u0040", "\\n", "\\", "YWJjQGV4YW1wbGUuY29t", "eyJhbGciOiJIUzI1NiJ9",
    "WfKq3T9dLx0PzRb7YhVn2McJ5gSaEu8wXo", "AKIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----",
    "deadbeefdeadbeef", "550e8400-e29b-41d4-a716-446655440000", "[email]", "{uuid}", "…", "▢", "\u200b",
    "１", "٣", "–", "\xa0", "é", "\ud800", "1", "12", "1234", "x", "QUJD", " ", "\n", "'", '"', ".", ",",
    ":", "-", "_", "+", "=", "&", "#", "~",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


class TestCleanText:
    """`clean_text`."""

    @pytest.mark.parametrize("text", ORDINARY)
    def test_ordinary_text_stays(self, text: str) -> None:
        """Error texts keep what is needed to understand them."""
        assert text == clean_text(text)

    @pytest.mark.parametrize(("text", "expected"), FOUND)
    def test_finds(self, text: str, expected: str) -> None:
        """Each class of personal data and secrets is replaced by what it is."""
        assert expected == clean_text(text)

    @given(st.text())
    def test_never_raises(self, text: str) -> None:
        """Any text gives a text."""
        assert isinstance(clean_text(text), str)

    @settings(max_examples=1_000)
    @given(HOSTILE | st.text())
    def test_twice_as_once(self, text: str) -> None:
        """What has been cleaned is clean: an error text can pass through again."""
        once = clean_text(text)
        assert once == clean_text(once)

    @pytest.mark.parametrize("unit", [*FRAGMENTS[:-30], "1-", "1 ", "a:", "%41", "ａ１"])
    def test_long_twice_as_once(self, unit: str) -> None:
        """Nor does cutting a long text leave anything for a second time."""
        once = clean_text((unit * 65_536)[:65_536])
        assert once == clean_text(once)

    @pytest.mark.parametrize("value", [None, 7, b"bob@example.com", ["bob@example.com"], object()])
    def test_no_text(self, value: Any) -> None:
        """What is no text is not shown, and raises nothing."""
        assert UNREADABLE == clean_text(value)
        assert UNREADABLE == clean_value(value)

    def test_unreadable(self) -> None:
        """A text that is no valid Unicode is not shown at all."""
        assert clean_text("\ud800 bob@example.com") == UNREADABLE

    @given(st.text(alphabet=" .,:;()x", max_size=20), st.emails(), st.text(alphabet=" .,;)x", max_size=20))
    def test_no_email_survives(self, before: str, email: str, after: str) -> None:
        """No generated e-mail address is left, whatever stands around it."""
        assert email not in clean_text(f"{before} {email} {after}")

    @given(
        st.sampled_from(["4", "51", "6011", "3530"]),
        st.text(alphabet=string.digits, min_size=14, max_size=14),
        st.sampled_from(["", " ", "-"]),
    )
    def test_no_card_survives(self, first: str, middle: str, separator: str) -> None:
        """No generated card number is left, plain or in groups of four."""
        body = (first + middle)[:15]
        card = next(full for digit in string.digits if is_card(full := body + digit))
        written = separator.join(card[at : at + 4] for at in range(0, 16, 4))
        assert clean_text(f"pay with {written} now") == "pay with [card] now"

    @given(
        st.sampled_from([("DE", 18), ("GB", 18), ("FR", 23), ("NO", 11), ("MT", 27)]),
        st.text(alphabet=string.digits, min_size=27, max_size=27),
        st.sampled_from(["", " "]),
    )
    def test_no_iban_survives(self, form: tuple[str, int], digits: str, separator: str) -> None:
        """No generated IBAN is left, plain or in groups of four."""
        country, length = form
        iban = next(
            full for check in range(2, 99) if is_iban(full := f"{country}{check:02}{digits[:length]}")
        )
        written = separator.join(iban[at : at + 4] for at in range(0, len(iban), 4))
        assert "[iban]" in clean_text(f"to {written}.")
        assert written not in clean_text(f"to {written}.")

    @pytest.mark.parametrize("unit", ["a", "a@", "a.", "1 ", "{'", "DE89 ", "bob@b.co ", "::", "key=", "/?"])
    def test_hostile_length(self, unit: str) -> None:
        """96 KB made to be slow for backtracking are cut, marked, and their tail is not read."""
        hostile = (unit * 96_000)[:96_000] + " bob@example.com"
        cleaned = clean_text(hostile)
        assert "example" not in cleaned
        assert len(cleaned) < 3 * TEXT_LIMIT

    def test_cut_leaves_no_half_address(self) -> None:
        """What the limit would cut in two is cut off as a whole."""
        for shift in range(24):
            text = "x " * ((TEXT_LIMIT - shift) // 2) + "4111 1111 1111 1111 bob@example.com rest"
            cleaned = clean_text(text)
            assert "bob" not in cleaned
            assert "4111" not in cleaned
            assert cleaned.endswith("…")


class TestCleanLong:
    """`clean_long`."""

    def test_four_times_as_much(self) -> None:
        """What is behind the limit of a text is cleaned too, wherever a part ends."""
        for shift in range(24):
            text = (
                "x " * ((TEXT_LIMIT - shift) // 2) + "4111 1111 1111 1111 bob@example.com rest " + "y " * 400
            )
            cleaned = clean_long(text)
            assert "[card] [email] rest" in cleaned
            assert cleaned.endswith("y y ")

    def test_it_ends(self) -> None:
        """More than that is cut off, and so is the rest of a word that a part ends in."""
        assert len(clean_long("word " * 4_000)) < 4 * TEXT_LIMIT + 8
        assert clean_long("word " * 4_000).endswith("…")
        assert "bob" not in clean_long("x" * 2 * TEXT_LIMIT + " bob@example.com bob")


class TestIsClean:
    """`is_clean`."""

    @pytest.mark.parametrize("text", [*ORDINARY, "ok", "sync_ack", "2026-11-21T07:40:00.123Z", ""])
    def test_ordinary(self, text: str) -> None:
        """Ordinary texts are clean."""
        assert is_clean(text)

    @pytest.mark.parametrize("text", [text for text, _ in FOUND] + ["\ud800", "abcdefabcdefabcdef"])
    def test_found(self, text: str) -> None:
        """What the scan changes is not clean."""
        assert not is_clean(text)

    @given(st.text(alphabet="a@.0145- :{'\"/?=keyé", max_size=60))
    def test_agrees_with_the_scan(self, text: str) -> None:
        """It says in advance whether the scan changes a text."""
        assert (clean_text(text) == text) == is_clean(text)


KEPT = [
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-4123-8123-123456789012",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "0x7ffe5367e044aabb",
    "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPBDG",
    "1.2.3.4",
    "12.0.17.3",
    "v10.1.2.3",
    "x=120,y=455",
]
CHANGED = [
    ("10.0.0.5", "[ip]"),
    ("192.168.1.17", "[ip]"),
    ("8.8.8.250:53", "[ip]:53"),
    (
        "550e8400-e29b-41d4-a716-446655440000 of bob@example.com",
        "550e8400-e29b-41d4-a716-446655440000 of [email]",
    ),
    ("9f86d081884c7d659a2feaa0c55ad015 4111 1111 1111 1111", "9f86d081884c7d659a2feaa0c55ad015 [card]"),
    ('{"id": "550e8400-e29b-41d4-a716-446655440000", "name": "Anna Bell"}', "{…}"),
    ("GET /a?id=550e8400-e29b-41d4-a716-446655440000&name=Anna", "GET /a?…"),
    ("DE40148179687149977765", "[iban]"),
    ("FR400382118067E635394358890", "[iban]"),
    ("1957-08-26,52.189.184.190,x", "1957-08-26,[ip],x"),
]


class TestCleanValue:
    """`clean_value` and `is_clean_value`."""

    @pytest.mark.parametrize("value", KEPT)
    def test_stays(self, value: str) -> None:
        """Ids and versions are no personal data."""
        assert value == clean_value(value)
        assert is_clean_value(value)

    @pytest.mark.parametrize(("value", "expected"), CHANGED)
    def test_finds(self, value: str, expected: str) -> None:
        """Addresses and what stands beside an id are found."""
        assert expected == clean_value(value)
        assert not is_clean_value(value)

    @settings(max_examples=1_000)
    @given(HOSTILE | st.text(alphabet="a@.0145- :{'\"/?=keyé", max_size=60))
    def test_agree(self, value: str) -> None:
        """A clean value is one that stays; what has been cleaned is clean."""
        once = clean_value(value)
        assert (once == value) == is_clean_value(value)
        assert once == clean_value(once)
