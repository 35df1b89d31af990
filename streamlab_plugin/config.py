"""Settings, read once: option > environment > ``streamlab.yaml`` > packaged default.

This is the only reader of YAML. It keeps line marks, so that a mistake is reported as ``file:line``; what the
documents mean is decided in the pure rooms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.detect.judge import compile_rules
from streamlab_plugin.detect.rule import parse_rules
from streamlab_plugin.privacy.policy import extended_policy, parse_policy
from streamlab_plugin.slo.objective import parse_objectives

T = TypeVar("T")

DEFAULT_DATABASE_URL = "sqlite:///streamlab.db"
_PACKAGE = Path(__file__).parent
# kind -> (environment variable, packaged file, parser)
_KINDS: dict[str, tuple[str, str, Callable[[object], object]]] = {
    "privacy": ("STREAMLAB_PRIVACY", "privacy.yaml", parse_policy),
    "rules": ("STREAMLAB_RULES", "anomalies.yaml", lambda data: compile_rules(parse_rules(data).rules)),
    "slo": ("STREAMLAB_SLO", "slo.yaml", parse_objectives),
}
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

    def body(self) -> bytes:
        """Return what belongs to a run as JSON: the documents, no secrets."""
        return json.dumps(self.documents, sort_keys=True, ensure_ascii=False).encode()


def packaged(folder: str) -> Path:
    """Return a data folder (``rules``, ``locustfiles``, ``dashboards``), from the wheel or the checkout."""
    installed = _PACKAGE / "data" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder


def load(options: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Args:
        options: Values by kind (``privacy``, ``rules``, ``slo``) from the command line; None means not given.
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
        documents[kind] = _document(kind, source, parse)
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
    data = read_yaml(path, _check_own)
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


def _document(kind: str, path: Path, parse: Callable[[object], object]) -> Any:
    """Read a document and let its room check it; ``extends: default`` puts the packaged one underneath."""
    kept: dict[str, Any] = {}

    def check(data: object) -> object:
        if isinstance(data, dict) and data.get("extends") is not None:
            if data["extends"] != "default":
                raise ConfigError(f"extends must be 'default', got {data['extends']!r}", path=("extends",))
            own = {key: value for key, value in data.items() if key != "extends"}
            default = _plain(packaged("rules") / _KINDS[kind][1])
            data = extended_policy(default, own) if kind == "privacy" else _merged(default, own)
        parse(data)
        kept["data"] = data
        return data

    read_yaml(path, check)
    return kept["data"]


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
    return read_yaml(path, lambda data: data)


def read_yaml(path: Path, check: Callable[[object], T]) -> T:
    """Read one YAML document and return what *check* makes of it.

    Raises:
        ConfigError: missing, unreadable, no YAML, a key twice, or *check* refused; with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    lines: dict[tuple[str | int, ...], int] = {}
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            data = None if node is None else _construct(loader, node, (), lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}:1: not valid YAML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}:{_line(lines, error.path)}: {error}") from None
    try:
        return check(data)
    except ConfigError as error:
        raise ConfigError(f"{path}:{_line(lines, error.path)}: {error}") from None


def _construct(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    path: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            here = (*path, key if isinstance(key, (str, int)) else str(key))
            lines[here] = key_node.start_mark.line + 1
            if key in result:
                raise ConfigError(f"the key {key!r} appears twice", path=here, remedy="keep one of them")
            result[key] = _construct(loader, value_node, here, lines)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, child, (*path, index), lines) for index, child in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def _line(lines: Mapping[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    """Return the line of *path*, or of the innermost part of it that the document has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
