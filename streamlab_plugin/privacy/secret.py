"""Secrets in texts: credentials in URLs, keys, tokens, cookies, assignments, query strings."""

from __future__ import annotations

from itertools import pairwise

import re2

from streamlab_plugin.privacy.pattern import always, judged, parsed

_WORD_LIMIT = 256
_TOKEN = b"[token]"
_USERINFO = r"//(?:[^\s/@?#\"'<>]+|[^\s/@:\[]+:[^\s@/]*[^\d\s@/][^\s@]*)@"
_PRIVATE_KEY = (
    r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-----"
    r"(?:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-----|.*)"
)
_KNOWN_KEY = (
    r"(?:\b|_|\\[nrt]|\\u[0-9a-fA-F]{4})(?:"
    r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4}"  # JSON Web Token (RFC 7519)
    r"|sk-(?:proj|svcacct|admin|ant|or|live|test|lf|user|org)-(?:[a-z]{1,5}\d{1,2}-)?[A-Za-z0-9_-]{16,}"
    r"|sk-[A-Za-z0-9]{20,}"  # OpenAI, Anthropic and their like
    r"|(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/]{16,}={0,2}"  # Stripe
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[\w.-]{16,}"  # GitLab
    r"|(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA|A3T[A-Z0-9])[A-Z0-9]{16}\b"  # AWS
    r"|xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{16,}"  # Slack
    r"|AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}"  # Google
    r"|SG\.[\w-]{12,}\.[\w-]{12,}"  # SendGrid
    r"|npm_[A-Za-z0-9]{24,}|pypi-[\w-]{32,}|dckr_pat_[\w-]{20,}|hf_[A-Za-z0-9]{24,}|hv[sbr]\.[\w-]{20,}"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{24,}|do[opr]_v1_[0-9a-f]{32,}|dapi[0-9a-f]{32}|glsa_\w{24,}|lin_api_\w{24,}"
    r"|NRAK-[A-Z0-9]{20,}|PMAK-[0-9a-f-]{40,}|sq0[a-z]{3}-[\w-]{20,}|(?:SK|AC)[0-9a-f]{32}\b"
    r"|\d+:AA[A-Za-z0-9_-]{32,})"  # Telegram
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"
    r"|hooks\.slack\.com/services/[\w/]+"
)
_BEARER = r"(?i)\b(bearer|basic)\s+([A-Za-z0-9+/=._~-]{6,})"
_COOKIE = r"(?i)cookie[\"']?\s*[:=]\s*([^\r\n]+)"
_ASSIGNMENT = (
    r"(?i)((?:\b|_|-|api|access|auth|private|secret|account|storage|master|primary|secondary|signing|encryption"
    r"|subscription|function|client|shared)key|token|passw(?:or)?d|passphrase|pwd|secret"
    r"|credentials?|authorization|session_?id|signature|\bsig)(?:\\*[\"'])?\s*([=:])\s*"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"'<>(){}\[\]]+)"
)
# Longer runs may have the other characters of base64 in them, which paths and names have too.
_OPAQUE = r"[A-Za-z0-9+/_-]{40,}={0,2}|[A-Za-z0-9+]{32,}={0,2}"
_QUERY = r"\?[^\s\"'<>…][^\s\"'<>]*"
_NO_QUERY = "?…".encode()

# What follows "bearer", "token:" or "password:" in a sentence rather than in a header.
_PROSE = frozenset(
    b"token tokens authentication authorization authorisation credential credentials scheme format header"
    b" realm required missing invalid expired error errors auth cannot could must should was were has have is"
    b" not too does may this field incorrect wrong unknown empty none null undefined true false denied"
    b" mismatch failed failure".split()
)
_PROSE_NAMES = (b"key", b"token", b"signature", b"credential", b"credentials")
_LEAST_TURNS, _MOST_IN_WORDS = 0.35, 0.56
_WORD = re2.compile(rb"[A-Z]?[a-z]{3,}")


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


def _judge_query(data: bytes, start: int, stop: int) -> bytes | None:
    if b"=" in data[start:stop]:
        return _NO_QUERY
    word = max(data.rfind(b" ", 0, start), start - _WORD_LIMIT)
    return _NO_QUERY if data.find(b"/", max(0, word), start) >= 0 else None


def _judge_opaque(data: bytes, start: int, stop: int) -> bytes | None:
    return _TOKEN if _is_random(data[start:stop].rstrip(b"=")) else None


def _is_random(word: bytes) -> bool:
    """Return whether *word* turns from small to capital letter or digit as often as a random one.

    Of random base64 six in ten neighbours are of different kinds, and one in six letters is in what could
    be a word; of the names of classes, four in ten and eight in ten.
    """
    if word.islower() or word.isupper() or len(word.translate(None, b"0123456789")) == len(word):
        return False
    word = word[:_WORD_LIMIT]
    kinds = [1 if byte <= 57 else 2 if byte <= 90 else 3 for byte in word if byte not in b"+/_-"]
    if len(set(kinds)) < 3:
        return False
    turns = sum(one != other for one, other in pairwise(kinds))
    in_words = len(word) - len(_WORD.sub(b"", word))
    return turns >= _LEAST_TURNS * len(kinds) and in_words <= _MOST_IN_WORDS * len(word)


# In the order in which they must run: a token's value may look like an assignment.
SECRETS = (
    always(_PRIVATE_KEY, _TOKEN),
    always(_USERINFO, b"//[token]@"),
    always(_KNOWN_KEY, _TOKEN),
    parsed(_BEARER, _judge_bearer),
    parsed(_COOKIE, _judge_cookie),
    parsed(_ASSIGNMENT, _judge_assignment),
    judged(_QUERY, _judge_query),
)
# Last of all: what is left may be an id in another form.
OPAQUE = judged(_OPAQUE, _judge_opaque, trigger=r"[A-Za-z0-9+/_-]{32}")
