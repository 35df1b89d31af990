"""Paths of URLs in error texts: what a request's name loses, the text about the request must not tell."""

from __future__ import annotations

from typing import Final

import re2

from streamlab_plugin.privacy.template import path_template

_ORIGIN = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#'\"<>(),;]*"
_PATH = r"(?:/[^\s/?#'\"<>(),;|]*)+"
_URL = re2.compile(rf"(^|[\s'\"(\[=:,<])((?:{_ORIGIN})?)({_PATH})")
# Paths below these are files of this machine or of the target's.
_FOLDER_NAMES: Final = "usr var etc tmp opt lib lib64 proc dev root bin sbin srv mnt run sys private nix snap"
_FOLDERS: Final = frozenset(_FOLDER_NAMES.split())


def template_paths(text: str) -> str:
    """Return *text*, which `detector.clean_text` has been through, with templates for the paths of URLs.

    That is ``http://host/users/42`` and, by itself, ``/users/42``; hosts and the paths of files stay.
    """
    return str(_URL.sub(_templated, text)) if "/" in text else text


def _templated(match: re2._Match) -> str:
    before, origin, path = match.groups()
    if not origin and path[1:].partition("/")[0] in _FOLDERS:
        return str(match.group())
    return f"{before}{origin}{path_template(path)}"
