"""Secrets in texts: credentials in URLs, keys, tokens, cookies, assignments, query strings."""

from __future__ import annotations

import re2

from streamlab_plugin.privacy.pattern import always, judged

_WORD_LIMIT = 256
_TOKEN = b"[token]"
_USERINFO = r"//(?:[^\s/@?#\"'<>]+|[^\s/@:\[]+:[^\s@/]*[^\d\s@/][^\s@]*)@"
_KNOWN_KEY = (
    r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4}|\b(?:sk|rk|pk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bAIza[\w-]{30,}"
)
_BEARER = r"(?i)\b(bearer|basic)\s+([A-Za-z0-9+/=._~-]{6,})"
_COOKIE = r"(?i)cookie[\"']?\s*[:=]\s*([^\r\n]+)"
_ASSIGNMENT = (
    r"(?i)((?:\b|_|-|api|access|auth|private|secret)key|token|passw(?:or)?d|passphrase|pwd|secret"
    r"|credentials?|authorization|session_?id|signature)[\"']?\s*([=:])\s*"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"'<>(){}\[\]]+)"
)
_OPAQUE = r"[A-Za-z0-9+]{32,}={0,2}"
_QUERY = r"\?[^\s\"'<>]+"

# What follows "bearer", "token:" or "password:" in a sentence rather than in a header.
_PROSE = frozenset(
    b"token tokens authentication authorization authorisation credential credentials scheme format header"
    b" realm required missing invalid expired error errors auth cannot could must should was were has have is"
    b" not too does may this field incorrect wrong unknown empty none null undefined true false denied"
    b" mismatch failed failure".split()
)
_PROSE_NAMES = (b"key", b"token", b"signature", b"credential", b"credentials")


def _judge_bearer(_data: bytes, match: re2._Match) -> bytes | None:
    value: bytes = match.group(2)
    word = value.rstrip(b"=.").lower()
    if word in _PROSE or (match.group(1).lower() == b"basic" and word.isalpha() and value.islower()):
        return None
    return _TOKEN


def _judge_cookie(data: bytes, match: re2._Match) -> bytes | None:
    value: bytes = match.group(1)
    if b"=" not in value:
        return None
    return data[match.start() : match.start(1)] + _TOKEN


def _judge_assignment(data: bytes, match: re2._Match) -> bytes | None:
    name, sign, value = match.group(1).lower(), match.group(2), match.group(3)
    bare = value.strip(b"\"'")
    if not bare or bare.lower() in _PROSE:
        return None
    is_compound = data[match.start() - 1 : match.start()] in (b"_", b"-")
    may_be_prose = sign == b":" and not is_compound and name in _PROSE_NAMES
    if may_be_prose and (len(bare) < 8 or bare.isalpha() or bare.isdigit()):
        return None  # "unexpected token: foo" is a sentence, "token: 8f3a…" is not
    return data[match.start() : match.start(3)] + _TOKEN


def _judge_query(data: bytes, match: re2._Match) -> bytes | None:
    start, stop = match.span()
    word = data[max(0, start - _WORD_LIMIT) : start].split(b" ")[-1]
    return "?…".encode() if b"/" in word or b"=" in data[start:stop] else None


def _judge_opaque(_data: bytes, match: re2._Match) -> bytes | None:
    value: bytes = match.group()
    is_mixed = any(48 <= byte <= 57 for byte in value) and not value.islower() and not value.isupper()
    return _TOKEN if is_mixed else None


# In the order in which they must run: a token's value may look like an assignment.
SECRETS = (
    always(_USERINFO, b"//[token]@"),
    always(_KNOWN_KEY, _TOKEN),
    judged(_BEARER, _judge_bearer),
    judged(_COOKIE, _judge_cookie),
    judged(_ASSIGNMENT, _judge_assignment),
    judged(_QUERY, _judge_query),
)
# Last of all: what is left may be an id in another form.
OPAQUE = judged(_OPAQUE, _judge_opaque)
