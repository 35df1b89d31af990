"""Error texts as templates: words outside a technical vocabulary become ``▢``.

Error texts are free text written by strangers. Detectors know data by its form, so names and addresses would
stay; here only words stay that are known to say nothing about anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import re2

from streamlab_plugin.privacy.url import template_paths

MASK: Final = "▢"
LONGEST_NUMBER: Final = 5  # digits: errno, port, status, line

# What `detector.clean_text` leaves behind: [email], {uuid}, {…}, ?…, and cuts.
_MARK = r"\[[a-z]{2,12}\]|\{[a-z…]{1,8}\}"
# A digit by its code: as plain numbers the codes would all be short enough to stay. And UTF-8 that was taken
# for ISO 8859-1, as HTTP libraries do with a reason phrase: in some alphabets no letter is left to be seen.
_ESCAPE = (
    r"(?:%[0-9A-Fa-f]{2}|&#[xX]?[0-9A-Fa-f]+;|\\+(?:[uU][0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})"
    r"|[\x{c2}-\x{f4}][\x{80}-\x{bf}]{1,3})+"
)
_LETTERS = r"\pL[\pL\pM]*"
_WORD = rf"{_LETTERS}(?:['’]{_LETTERS})*"
# What looks like a separator, or like nothing, between digits does not make two numbers of one.
# Small classes: a copy of a large one costs RE2 thousands of states; out of memory it complains and is slow.
_INVISIBLE = "(?:" + "|".join(rf"[^\x00-\x7F\P{{{kind}}}]" for kind in ("Cf", "Zs", "Pd")) + "|[／．，])"
_NUMBERS = (
    rf"\p{{Nd}}+(?:(?:[ /-]{_INVISIBLE}{{0,3}}|{_INVISIBLE}{{1,3}}[ /-]?{_INVISIBLE}{{0,3}})\p{{Nd}}+)*"
)
# As national ids are written; dates and versions have fewer digits, addresses and durations shorter groups.
_DOTTED = r"\p{Nd}{2,5}\.\p{Nd}{2,5}(?:[.-]\p{Nd}{2,5})+"
_LONGEST_DOTTED: Final = 8
_PIECE = re2.compile(rf"({_MARK})|({_ESCAPE})|\b([vV]\p{{Nd}}{{1,3}}\b)|({_WORD})|({_DOTTED})|({_NUMBERS})")
# Words that go take their neighbours with them: who has three names is not to be told from who has two.
# So do numbers of five digits beside them, which are postal codes.
_RUN = re2.compile(rf"(?:\b\p{{Nd}}{{5}} )?{MASK}(?:[\s\p{{Nd}},._@'’-]*{MASK})*(?:,? \p{{Nd}}{{5}}\b)?")
# A number after one of these says who or which, however short it is.
_SUBJECT = re2.compile(
    r"(?i)\b((?:user|uid|id|account|customer|client|member|order|session|device|person|patient|tenant|contact"
    r"|profile|employee|student|driver|sensor|player|subscriber|invoice|ticket)s?(?:[ _-]?ids?)?"
    r"[\s:=#_'\"()-]{1,4})\p{Nd}+"
)


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
        # Functions, for a replacement given as text loses what is not ASCII.
        masked = _RUN.sub(lambda _match: MASK, _PIECE.sub(self._piece, text))
        return str(_SUBJECT.sub(lambda match: match.group(1) + "{n}", masked))

    def _piece(self, match: re2._Match) -> str:
        piece: str = match.group()
        _mark, escape, _version, word, dotted, numbers = match.groups()
        if escape:
            return MASK
        if word:
            return piece if self._is_known(piece) else MASK
        if numbers and sum(map(str.isdecimal, piece)) > LONGEST_NUMBER:
            return "{n}"
        if dotted and sum(map(str.isdecimal, piece)) > _LONGEST_DOTTED:
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
        return template_paths
    if level == "class":
        return lambda _text: ""
    mask = Masker(vocabulary).mask
    return lambda text: mask(template_paths(text))
