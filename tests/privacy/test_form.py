"""Form bodies are read as fields, and nothing else passes for one."""

from __future__ import annotations

import pytest

from streamlab_plugin.privacy.form import MOST_FIELDS, parse_form
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.pseudonym import Pseudonyms


class TestParseForm:
    """`parse_form`."""

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (b"type=sync&seq=1", {"type": "sync", "seq": "1"}),
            ("a=1&a=2&a=3&b=", {"a": ["1", "2", "3"], "b": ""}),
            (b"email=bob%40example.org&q=x+y%C3%A4", {"email": "bob@example.org", "q": "x yä"}),
            (b"user%5Bemail%5D=x&user[plan]=pro", {"user[email]": "x", "user[plan]": "pro"}),
        ],
    )
    def test_fields(self, raw: bytes | str, expected: dict[str, object]) -> None:
        """Escapes are undone, repeated names make lists."""
        assert expected == parse_form(raw)

    @pytest.mark.parametrize(
        "raw",
        [
            b"", b"hello", b"<a b=c/>", b"status=it was Bob", b"a,b\n1,2", b'{"a": 1', b"\x1f\x8b=1", "ü=1",
            b"q=%ff%fe", b"a=1&&b=2", b"YWJjZGVm==", b"x" * 65 + b"=1", b"key='v'",
            "&".join(f"a{number}=1" for number in range(MOST_FIELDS + 1)),
        ],
    )  # fmt: skip
    def test_anything_else(self, raw: bytes | str) -> None:
        """Prose, XML, CSV, cut JSON, binary data, other charsets and endless forms are none."""
        assert parse_form(raw) is None


class TestRedaction:
    """What is stored of a form."""

    def test_by_name(self, redactor: Redactor) -> None:
        """Its fields are treated as those of an object."""
        raw = b"userId=42&status=to+bob%40example.org&lat=52.123456&password=Zqcanary&user%5Bemail%5D=a&x=1"
        redacted = redactor.redact_json(raw)
        assert redacted is not None
        assert {
            "userId": Pseudonyms(bytes(range(32))).of("42"),
            "status": "to [email]",
            "lat": "52.1",
        } == dict(zip(redacted.keys, redacted.values, strict=True))
        assert 0 == redactor.counts["failed"]

    @pytest.mark.parametrize(
        "raw",
        [
            b'<?xml version="1.0"?><user id="42"><status>ok</status></user>', b"id;status\r\n42;ok\r\n",
            b'--b\r\nContent-Disposition: form-data; name="status"\r\n\r\nok\r\n--b--',
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", b"\x80\x02}q\x00X\x04\x00\x00\x00",
            '{"status": "ü"}'.encode("latin-1"), '{"status": "ok"}'.encode("utf-16"),
            b"status: ok\nid: 42", b"", b" ",
        ],
    )  # fmt: skip
    def test_other_bodies(self, redactor: Redactor, raw: bytes) -> None:
        """XML, CSV, multipart, compressed, binary, other charsets: metadata only, and counted."""
        assert redactor.redact_json(raw) is None
        assert 1 == redactor.counts["failed"]
