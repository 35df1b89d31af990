"""Error texts as templates: words outside a technical vocabulary become ``▢``.

Error texts are free text written by strangers. Detectors know data by its form, so names and addresses would
stay; here only words stay that are known to say nothing about anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

MASK: Final = "▢"
LONGEST_NUMBER: Final = 5  # digits: errno, port, status, line

# What `detector.clean_text` leaves behind: [email], {uuid}, {…}, ?…, and cuts.
_MARK = r"\[[a-z]{2,12}\]|\{[a-z…]{1,8}\}"
_WORD = r"[^\W\d_]+(?:['’][^\W\d_]+)*"
_NUMBERS = r"\d+(?:[ /-]\d+)*"
_PIECE = re.compile(rf"(?P<mark>{_MARK})|(?P<word>{_WORD})|(?P<numbers>{_NUMBERS})")
# Words that go take their neighbours with them: who has three names is not to be told from who has two.
_RUN = re.compile(rf"{MASK}(?:[\s\d,._@'’-]*{MASK})+")


class Masker:
    """Turn cleaned error texts into templates.

    Args:
        vocabulary: The words that stay, in lower case.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._known = frozenset(vocabulary)

    def mask(self, text: str) -> str:
        """Return *text*, which has been through `detector.clean_text`, as a template.

        Numbers of more than `LONGEST_NUMBER` digits become ``{n}``. Masking a template changes nothing.
        """
        return _RUN.sub(MASK, _PIECE.sub(self._piece, text))

    def _piece(self, match: re.Match[str]) -> str:
        piece = match.group()
        if match.lastgroup == "word":
            return piece if self._is_known(piece) else MASK
        if match.lastgroup == "numbers" and sum(map(str.isdecimal, piece)) > LONGEST_NUMBER:
            return "{n}"
        return piece

    def _is_known(self, word: str) -> bool:
        plain = word.replace("’", "'").casefold()
        return plain in self._known or plain.removesuffix("'s") in self._known or self._is_composed(word)

    def _is_composed(self, word: str) -> bool:
        """Return whether *word* is written like ``ConnectionRefusedError`` and every part of it is known."""
        parts, start = [], 0
        for index in range(1, len(word)):
            if word[index].isupper() and (word[index - 1].islower() or word[index + 1 : index + 2].islower()):
                parts.append(word[start:index])
                start = index
        parts.append(word[start:])
        return len(parts) > 1 and all(part.casefold() in self._known for part in parts)


def reducer(level: str, vocabulary: Iterable[str]) -> Callable[[str], str]:
    """Return what makes of a cleaned error text what may be known of it.

    Args:
        level: ``scan`` leaves it, ``template`` masks it, ``class`` leaves nothing (type and code stay).
        vocabulary: The words that a template keeps.
    """
    if level == "scan":
        return lambda text: text
    if level == "class":
        return lambda _text: ""
    return Masker(vocabulary).mask
