"""A subject: one person, device or session, as the pseudonyms under which data may know it.

The value itself is needed once, to compute them; nothing here keeps it or puts it into a message.
"""

from __future__ import annotations

import hashlib
import re
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id, load_key

PSEUDONYM_LENGTH = 22
_BYTES = 16
_WORD = r"[A-Za-z0-9_-]"
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_", b"+/")

_decode = msgspec.json.Decoder().decode


class Subject:
    """Find pseudonyms in stored texts.

    Args:
        pseudonyms: As they are stored, at least one.
    """

    def __init__(self, pseudonyms: Iterable[str]) -> None:
        self.pseudonyms = tuple(sorted(set(pseudonyms)))
        self._all = frozenset(self.pseudonyms)
        self._needles = tuple(one.encode("ascii") for one in self.pseudonyms)
        either = "|".join(re.escape(one) for one in self.pseudonyms)
        self._word = re.compile(f"(?<!{_WORD})(?:{either})(?!{_WORD})")

    @property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of each pseudonym: what remains of them in a receipt."""
        return tuple(hashlib.sha256(needle).hexdigest() for needle in self._needles)

    def may_be_in(self, data: bytes) -> bool:
        """Whether *data* holds the letters of a pseudonym; quick, and the answer no is certain."""
        return any(needle in data for needle in self._needles)

    def is_in_json(self, data: bytes | str) -> bool:
        """Whether a text value of a JSON document, at any depth, is one of the pseudonyms.

        What is no JSON counts if it holds the letters.
        """
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        if not self.may_be_in(raw):
            return False
        try:
            return self._is_value_in(_decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return True

    def is_in_text(self, text: str) -> bool:
        """Whether a pseudonym stands in a sentence, by itself."""
        return self._word.search(text) is not None

    def is_any_of(self, *values: str | None) -> bool:
        """Whether one of *values* is one of the pseudonyms."""
        return any(value in self._all for value in values)

    def _is_value_in(self, document: Any) -> bool:
        held: list[Any] = [document]
        while held:
            value = held.pop()
            if isinstance(value, str):
                if value in self._all:
                    return True
            elif isinstance(value, dict):
                held += value.values()
            elif isinstance(value, list):
                held += value
        return False


def pseudonyms_of(value: str, keyring: Keyring) -> dict[str, list[str]]:
    """Return the pseudonyms of *value* by key id, under today's key and every kept one; makes no key.

    A whole number written as a float is the id that the number would be: 42.0 stands for 42 too.

    Raises:
        ConfigError: There is no key, or one cannot be used.
    """
    keys = dict(_keys(keyring))
    if not keys:
        raise ConfigError(
            f"there is no key in {keyring.path}, so no pseudonym can be computed",
            remedy="run this where the test ran, name the key in STREAMLAB_KEY_FILE, or give --hash",
        )
    whole = _WHOLE_FLOAT.fullmatch(value)
    forms = [value] if whole is None else [value, whole[1]]
    return {ident: [Pseudonyms(key).of(form) for form in forms] for ident, key in keys.items()}


def _keys(keyring: Keyring) -> Iterator[tuple[str, bytes]]:
    if keyring.path.exists():
        key = keyring.current()
        yield key_id(key), key
    for ident in keyring.kept():
        yield ident, load_key(keyring.folder / ident)


def check_pseudonym(text: str) -> str:
    """Return *text* if it has the form of a pseudonym.

    Raises:
        ConfigError: It has not; the text is left out, since it may be the very value that is to be erased.
    """
    try:
        raw = a2b_base64(text.encode("ascii").translate(_PLAIN) + b"==")
    except (Error, ValueError):
        raw = b""
    if len(raw) != _BYTES or encode_pseudonym(raw) != text:
        raise ConfigError(
            f"--hash: {len(text)} characters that are no pseudonym",
            remedy=f"give one as it stands in the data: {PSEUDONYM_LENGTH} letters, digits, - and _; "
            "for the id itself use --subject",
        )
    return text


def encode_pseudonym(raw: bytes) -> str:
    """Return the 16 bytes of a pseudonym as it is stored."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def decode_pseudonym(text: str) -> bytes:
    """Return the 16 bytes of a pseudonym."""
    return a2b_base64(text.encode("ascii").translate(_PLAIN) + b"==")
