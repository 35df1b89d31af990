"""Files that were damaged at random: never a traceback, and every line says which file, line and field."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from scenario_corpus import FULL, OLD, SMALL

from streamlab_plugin.cli.scenario import TYPES, validate_command
from streamlab_plugin.config import packaged

QUICK = 2000
LONG, ROUNDS = 115_000, 23  # of eight files one is still valid
_NASTY = (
    "", "null", "~", "true", "-1", "1e999", ".nan", ".inf", "0x" + "f" * 5000, "9" * 5000, "2026-13-45",
    "1:30", "'", '"', "[", "]", "{", "}", "{{}}", "[[[]]]", "- ", ": ", "? ", "& a", "*a", "&a [*a]",
    "!!python/object:os.system x", "!!int x", "!!timestamp x", "!!binary '%'", "!!set {a}", "|", ">", "%TAG",
    "---", "...", "<<: *a", "\t", "\r", "\x00", "\x1b[31m", "\u2028", "\ud83d\ude00", "?[a, b]: c",
    "{a: 1, a: 2}", "[" * 2000, "é" * 300, "\\u0000", "#", "@", "`", "a: b: c", "password", "ws://me:pw@h",
)  # fmt: skip


def texts() -> list[tuple[str, str]]:
    """Return intact files: name and text."""
    found = [
        (f"{name}.yaml", (packaged("rules") / "scenarios" / f"{name}.yaml").read_text()) for name in TYPES
    ]
    for name, one in (("small", SMALL), ("old", OLD), ("full", FULL)):
        found.append((f"{name}.json", json.dumps(one, indent=1)))
    return found


def damaged(text: str, rng: random.Random) -> bytes:
    """Return *text* with one to three damages."""
    data = text.encode()
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(_DAMAGES)(data, rng)
    return data


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(1) + data[at + rng.randrange(2) :]


def _gap(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 30) :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] = b" " * rng.randrange(1, 5) + lines[one]
    return b"".join(lines)


def _value(data: bytes, rng: random.Random) -> bytes:
    """Put something nasty in the place of a word."""
    words = list(re.finditer(rb"[^\s:,\[\]{}]+", data))
    if not words:
        return data
    word = rng.choice(words)
    nasty = rng.choice(_NASTY).encode("utf-8", "surrogatepass")
    return data[: word.start()] + nasty + data[word.end() :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


_DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [_byte, _gap, _line, _value, _value, _value, _cut]


def check(folder: Path, seed: int, count: int) -> None:
    """Validate *count* damaged files in one call and look at every line that comes of it."""
    rng = random.Random(f"mutations {seed}")
    intact = texts()
    paths = []
    for number in range(count):
        name, text = rng.choice(intact)
        path = folder / f"{number}-{name}"
        path.write_bytes(damaged(text, rng))
        paths.append(path)
    result = CliRunner().invoke(validate_command, [str(path) for path in paths])
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert 2 == result.exit_code
    pattern = re.compile(rf"{re.escape(str(folder))}/(\d+)-[\w-]+\.(?:yaml|json):\d+: \S.*?: \S.*")
    refused = set()
    for line in result.stderr.rstrip("\n").split("\n"):
        match = pattern.fullmatch(line)
        assert match, repr(line)
        refused.add(int(match[1]))
        assert line.isprintable(), repr(line)
    valid = {int(one) for one in re.findall(r"/(\d+)-\S+: valid ", result.stdout)}
    assert set(range(count)) == refused | valid
    assert set() == refused & valid
    # Damage to a comment or a number often leaves a scenario: but most files must have been refused.
    assert len(refused) > count / 2


class TestDamagedFiles:
    """`streamlab scenario validate` of files that nobody wrote."""

    @pytest.mark.parametrize("part", range(2))
    def test_some(self, tmp_path: Path, part: int) -> None:
        """A thousand of them."""
        check(tmp_path, part, QUICK // 4)

    @pytest.mark.faults
    @pytest.mark.parametrize("part", range(ROUNDS))
    def test_many(self, tmp_path: Path, part: int) -> None:
        """A hundred thousand that are refused, besides those that are still valid."""
        check(tmp_path, 100 + part, LONG // ROUNDS)
