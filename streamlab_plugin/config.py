"""Settings, read once: option > environment > ``streamlab.yaml`` > packaged default.

This is the only reader of YAML. It keeps line marks, so that a mistake is reported as ``file:line``; what the
documents mean is decided in the pure rooms.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.wording import shown
from streamlab_plugin.detect.judge import compile_rules
from streamlab_plugin.detect.rule import parse_rules
from streamlab_plugin.privacy.masking import reducer
from streamlab_plugin.privacy.policy import ALLOW_UNSAFE, extended_policy, parse_policy
from streamlab_plugin.slo.objective import parse_objectives

if TYPE_CHECKING:
    from streamlab_plugin.scenario.scenario import Scenario

T = TypeVar("T")
Lines = dict[tuple[str | int, ...], int]

DEFAULT_DATABASE_URL = "sqlite:///streamlab.db"
_PACKAGE = Path(__file__).parent
# kind -> (environment variable, packaged file, parser)
_KINDS: dict[str, tuple[str, str, Callable[[object], object]]] = {
    "privacy": ("STREAMLAB_PRIVACY", "privacy.yaml", parse_policy),
    "rules": ("STREAMLAB_RULES", "anomalies.yaml", lambda data: compile_rules(parse_rules(data).rules)),
    "slo": ("STREAMLAB_SLO", "slo.yaml", parse_objectives),
}
_LF = "\n"
_WHOLE = ("document",)  # what a problem names that belongs to no key
# What looks like a key in YAML or JSON.
_KEY = re.compile(r"""["']?([A-Za-z_][A-Za-z0-9_]{0,59})["']?[ \t]*:""")
# Far above what any document needs; a few lines of aliases of aliases would fill the memory.
_MOST_VALUES = 100_000
_KEYS = frozenset({"database", "key_file", *_KINDS})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, as found at start.

    ``documents`` holds the privacy, rules and slo documents as parsed YAML; ``sources`` their files.
    """

    database_url: str
    key_file: Path
    documents: Mapping[str, Any]
    sources: Mapping[str, Path]

    def is_packaged(self, kind: str) -> bool:
        """Whether a document is the packaged default."""
        return self.sources[kind] == packaged("rules") / _KINDS[kind][1]

    def error_reducer(self) -> Callable[[str], str]:
        """Return what makes of a cleaned error text what may be shown of it."""
        policy = parse_policy(self.documents["privacy"])
        return reducer(policy.error_texts, vocabulary() | policy.vocabulary)

    def body(self) -> bytes:
        """Return what belongs to a run as JSON: the documents, no secrets."""
        return json.dumps(self.documents, sort_keys=True, ensure_ascii=False).encode()


def packaged(folder: str) -> Path:
    """Return a data folder (``rules``, ``locustfiles``, ``dashboards``), from the wheel or the checkout."""
    installed = _PACKAGE / "data" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder


def vocabulary() -> frozenset[str]:
    """Return the packaged words that error texts may keep."""
    lines = (packaged("rules") / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def load(options: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Args:
        options: Values by kind (``privacy``, ``rules``, ``slo``) from the command line; None means not given.
            ``allow_unsafe``: the policy may keep what is always removed.
        environment: The process's environment.

    Raises:
        ConfigError: a file is missing or wrong; the text names file, line and remedy.
    """
    own, own_path = _own_file(environment)
    documents, sources = {}, {}
    for kind, (variable, default, parse) in _KINDS.items():
        if chosen := (options or {}).get(kind) or environment.get(variable):
            source = Path(chosen).expanduser()
        elif kind in own:
            source = own_path.parent / Path(own[kind]).expanduser()
        else:
            source = packaged("rules") / default
        documents[kind] = _document(kind, source, parse, is_unsafe=bool((options or {}).get(ALLOW_UNSAFE)))
        sources[kind] = source
    return Settings(database_url(environment), _key_file(own, environment), documents, sources)


def database_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return the database URL: environment, ``streamlab.yaml``, or a file in the working directory."""
    chosen = environment.get("STREAMLAB_DATABASE_URL") or _own_file(environment)[0].get("database")
    return str(chosen or DEFAULT_DATABASE_URL)


def objectives_document(path: Path | None, environment: Mapping[str, str] = os.environ) -> Any:
    """Return the objectives document for a check after the run: *path* or the configured one."""
    return load({"slo": path}, environment).documents["slo"]


def _key_file(own: Mapping[str, Any], environment: Mapping[str, str]) -> Path:
    chosen = environment.get("STREAMLAB_KEY_FILE") or own.get("key_file")
    if chosen:
        return Path(chosen).expanduser()
    home = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(home) / "streamlab" / "key"


def _own_file(environment: Mapping[str, str]) -> tuple[Mapping[str, Any], Path]:
    named = environment.get("STREAMLAB_CONFIG")
    path = Path(named) if named else Path("streamlab.yaml")
    if not named and not path.is_file():
        return {}, path
    data = read_document(path, _check_own)
    return data or {}, path


def _check_own(data: object) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError("settings must be a mapping of keys to values")
    for key, value in data.items():
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            raise ConfigError(f"unknown key {key!r}", path=(str(key),), remedy=f"known keys are {known}")
        if not isinstance(value, str):
            raise ConfigError(f"{key} must be a text, got a {type(value).__name__}", path=(str(key),))
    return data


def _document(kind: str, path: Path, parse: Callable[[object], object], *, is_unsafe: bool) -> Any:
    """Read a document and let its room check it; ``extends: default`` puts the packaged one underneath."""
    kept: dict[str, Any] = {}

    def check(data: object) -> object:
        if isinstance(data, dict) and data.get("extends") is not None:
            if data["extends"] != "default":
                raise ConfigError(f"extends must be 'default', got {data['extends']!r}", path=("extends",))
            own = {key: value for key, value in data.items() if key != "extends"}
            default = _plain(packaged("rules") / _KINDS[kind][1])
            data = extended_policy(default, own) if kind == "privacy" else _merged(default, own)
        if kind == "privacy" and isinstance(data, dict):
            data = _allowing(data) if is_unsafe else _not_allowing(data)
        parse(data)
        kept["data"] = data
        return data

    read_document(path, check)
    return kept["data"]


def _allowing(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {**_not_allowing(policy), ALLOW_UNSAFE: True}


def _not_allowing(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    if ALLOW_UNSAFE in policy:
        raise ConfigError(
            f"{ALLOW_UNSAFE} is no key of a policy",
            path=(ALLOW_UNSAFE,),
            remedy="whoever starts the test allows it, with --allow-unsafe",
        )
    return policy


def _merged(base: Any, own: Mapping[str, Any]) -> Any:
    """Put *own* over *base*: mappings are merged, lists of named entries replaced by name, lists joined."""
    result = dict(base)
    for key, value in own.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            names = {entry.get("name") for entry in value if isinstance(entry, dict)} - {None}
            kept = [entry for entry in old if not (isinstance(entry, dict) and entry.get("name") in names)]
            result[key] = [*kept, *value]
        else:
            result[key] = value
    return result


def _plain(path: Path) -> Any:
    return read_document(path, lambda data: data)


def read_scenario(path: Path, *, allow_unsafe: bool = False) -> Scenario:
    """Read a scenario, YAML or (in a file named ``*.json``) JSON.

    Raises:
        ConfigError: as for `read_document`, with a line for each problem of the document.
    """
    # Most runs have none, and every Locust process reads this module.
    from streamlab_plugin.scenario.document import parse_scenario

    check = _parse_unsafe if allow_unsafe else parse_policy
    return read_document(path, lambda data: parse_scenario(data, check))


def _parse_unsafe(data: object) -> object:
    return parse_policy({**data, ALLOW_UNSAFE: True} if isinstance(data, dict) else data)


def read_document(path: Path, check: Callable[[object], T]) -> T:
    """Read one YAML or JSON document and return what *check* makes of it.

    Raises:
        ConfigError: missing, unreadable, no YAML, a key twice, or *check* refused; with file and line.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    text = raw.decode("utf-8-sig", errors="replace")
    lines: Lines = {}
    try:
        _check_encoding(raw)
        data = _json(text, lines) if path.suffix == ".json" else _yaml(text, lines)
        return check(data)
    except _SyntaxError as error:
        keys = _KEY.findall(text, 0, error.at)  # a mistake in the syntax names a field too: the one before it
        where = f"{path}:{text.count(_LF, 0, error.at) + 1}: {keys[-1] if keys else _WHOLE[0]}"
        raise ConfigError(f"{where}: not valid {error.language}: {error.what}") from None
    except ConfigError as error:
        located = [f"{path}:{_line(lines, one.path)}: {one}" for one in error.problems]
        raise ConfigError(_LF.join(located)) from None


class _SyntaxError(ConfigError):
    """The text is no document; *at* counts characters."""

    def __init__(self, language: str, what: str, at: int) -> None:
        super().__init__(what)
        self.language, self.at = language, at


def _check_encoding(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise _SyntaxError("UTF-8", error.reason, len(raw[: error.start].decode())) from None


def _yaml(text: str, lines: Lines) -> Any:
    """Return the document and put the line of each key and item into *lines*."""
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _construct(loader, node, (), lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.index if error.problem_mark else 0
        raise _SyntaxError("YAML", error.problem or error.context or "no document", at) from None
    except yaml.reader.ReaderError as error:
        what = f"the character {error.character:#x} is not allowed"
        raise _SyntaxError("YAML", what, error.position) from None
    except RecursionError:
        raise _SyntaxError("YAML", "it is nested too deeply", 0) from None


def _json(text: str, lines: Lines) -> Any:
    """Return the document by JSON's own rules, with lines where YAML can read it too: nearly always."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _SyntaxError("JSON", error.msg, error.pos) from None
    except (ValueError, RecursionError) as error:
        raise _SyntaxError("JSON", str(error), 0) from None
    try:
        # Tabs are white space in JSON, but not in YAML; within texts JSON does not allow them.
        _yaml(text.replace("\t", " "), lines)
    except _SyntaxError:
        pass
    return data


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _construct(loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str | int, ...], lines: Lines) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > _MOST_VALUES:
        raise ConfigError(f"more than {_MOST_VALUES:,} values", path=path, remedy="do not nest aliases")
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(loader, key_node, path)
            here = (*path, key if isinstance(key, (str, int)) else str(key))
            lines[here] = key_node.start_mark.line + 1
            if key in result:
                raise ConfigError(f"the key {key!r} appears twice", path=here, remedy="keep one of them")
            result[key] = _construct(loader, value_node, here, lines)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, child, (*path, index), lines) for index, child in enumerate(node.value)]
    return _scalar(loader, node, path)


def _scalar(loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError("a key cannot be a list or a mapping", path=path or _WHOLE, remedy="use a text")
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, AttributeError):  # a 13th month, !!bool maybe, !!int _
        kind = node.tag.rpartition(":")[2]
        what = f"{shown(node.value)} is no {kind}"
        raise ConfigError(what, path=path or _WHOLE, remedy="put it in quotes") from None


def _line(lines: Lines, path: tuple[str | int, ...]) -> int:
    """Return the line of *path*, or of the innermost part of it that the document has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
