"""Phone numbers as people write them, and digits that are none."""

from __future__ import annotations

import pytest

from streamlab_plugin.privacy.detector import clean_text

PHONES = [
    "+14155550123",
    "+44 20 7946 0958",
    "+49 (0)170 1234567",
    "+33.1.23.45.67.89",
    "0049 170 1234567",
    "(201) 555-0123",
    "201.555.0123",
    "1-800-555-0199",
    "0121 234 5678",
    "030/1234567",
    "01 23 45 67 89",
    "612 34 56 78",
    "06-12345678",
    "098765 43210",
    "090-1234-5678",
    "(11) 96123-4567",
    "(02) 1234 5678",
    "1300 123 456",
    "8 (301) 123-45-67",
]
OTHERS = [
    "4155550123",
    "order 0171-2345678",
    "ticket 415-555-0123",
    "2026-11-21 07:40",
    "00:01:02.345",
    "3221225472 bytes",
    "12 345 678 rows",
    "52.520008 13.404954",
    "1763710000.123456",
    "ORD-0171-2345678",
    "1.234.567,89",
    "0 100 200 300",
    "web-0123456789-x2k9p",
    "port 61234",
]


class TestPhone:
    """`phone_groups`, through `clean_text`."""

    @pytest.mark.parametrize("phone", PHONES)
    @pytest.mark.parametrize("text", ["{}", "no route to {}.", "/users/{}/calls", "to='{}'", "line\\n{}\\n"])
    def test_found(self, phone: str, text: str) -> None:
        """A number is found in sentences, paths, assignments and behind escapes."""
        assert text.replace("{}", "[phone]") == clean_text(text.replace("{}", phone))

    @pytest.mark.parametrize("other", OTHERS)
    def test_stays(self, other: str) -> None:
        """Orders, times, sizes, places and parts of names are no phone numbers."""
        assert f"failed for {other} at once" == clean_text(f"failed for {other} at once")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("msisdn=4155550123", "msisdn=[phone]"),
            ("phoneNumber: 4155550123", "phoneNumber: [phone]"),
            ("4155550123 is not a valid phone number", "[phone] is not a valid phone number"),
            ("415-555-0123x217 and 0171 2345678 ext. 12", "[phone] and [phone]"),
        ],
    )
    def test_beside_a_word(self, text: str, expected: str) -> None:
        """Bare digits are a number beside a word for it; an extension goes with its number."""
        assert expected == clean_text(text)
