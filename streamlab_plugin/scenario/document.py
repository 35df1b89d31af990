"""How a scenario is written: the one place that says which keys there are and what they may hold.

The reader of scenario files and the published JSON schema both come from here. What a schema cannot say is
checked while the values are built: ramps that fit into the duration, lists of the privacy policy, operations
that the protocols have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamlab_plugin.core.errors import ConfigError, DocumentError
from streamlab_plugin.scenario.fault_form import DISTRIBUTION, LONGEST_S, OPERATIONS
from streamlab_plugin.scenario.faults_form import FAULTS
from streamlab_plugin.scenario.form import ByType, Choice, Listing, Made, Number, Path, Schema, Shared, Text
from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.scenario.keys import Key, Keys, Tagged
from streamlab_plugin.scenario.part_form import ANY_PART, PARTS, SPECIAL, read_part
from streamlab_plugin.scenario.scenario import Burst, Payload, Scenario

# Says whether redaction rules are a privacy policy; raises ConfigError with a path of list and index.
CheckRules = Callable[[Mapping[str, list[str]]], object]

_NAME = Text(100, r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "use letters, digits, '_', '.' and '-' only")
_PROSE = Text(2000, r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$", "use printable text")
_SECONDS = Number(0, LONGEST_S)

_BURST = Shared(
    "burst",
    ByType(
        {
            "number": Made(Number(0, 1000), Burst),
            "object": Keys(
                {
                    "multiplier": Key(Number(0, 1000), "How many times as high the rate is.", required=True),
                    "start_seconds": Key(_SECONDS, "When the first burst begins; 10."),
                    "length_seconds": Key(Number(0, LONGEST_S, above=True), "How long each one lasts; 5."),
                    "every_seconds": Key(_SECONDS, "From one beginning to the next; 0 for a single burst."),
                },
                lambda values, _places: Burst(**values),
            ),
        }
    ),
)

_FIELDS = Listing(Text(64, r"[^\s_.-]", "write a field's name"), most=1000)
_RULES = Keys(
    {
        "keep": Key(
            _FIELDS, "Fields stored as they are.", others=("allowlisted_fields", "allowlistedFields")
        ),
        "hash": Key(_FIELDS, "Fields replaced by a pseudonym.", others=("hash_fields", "hashFields")),
        "bucket": Key(_FIELDS, "Coordinates that are rounded.", others=("bucket_fields", "bucketFields")),
        "remove": Key(
            _FIELDS, "Fields removed with all below them.", others=("remove_fields", "removeFields")
        ),
    },
    lambda values, places: (values, places),
)

COMMON: Mapping[str, Key] = {
    "name": Key(_NAME, "Name of the scenario, and of its runs.", required=True),
    "description": Key(_PROSE, "What it is for."),
    "connections": Key(Number(1, 1_000_000, whole=True), "How many connections at full load.", required=True),
    "duration_seconds": Key(
        Number(0, LONGEST_S, above=True), "Length of the load, both ramps included.", required=True
    ),
    **ANY_PART,
    "think_time": Key(DISTRIBUTION, "Pause of a connection after each message, in seconds; none."),
    "ramp_up_seconds": Key(_SECONDS, "Time until all connections are there; 0."),
    "ramp_down_seconds": Key(_SECONDS, "Time in which they leave again; 0."),
    "burst": Key(
        _BURST,
        "Times of a higher rate; a number is the multiplier.",
        others=("burst_multiplier", "burstMultiplier"),
    ),
    "failure_injection": Key(FAULTS, "Faults: a list, or a mapping by kind."),
    "pii_redaction_rules": Key(_RULES, "Lists that extend the default privacy policy."),
    "expected_p95_latency_ms": Key(Number(0, 86_400_000, above=True), "Objective: 95th percentile at most."),
    "expected_error_rate": Key(Number(0, 1), "Objective: share of failed requests at most."),
    "criticality": Key(Choice(("low", "normal", "high", "critical")), "How much it matters; normal."),
    "tags": Key(Listing(_NAME, most=32), "Words to find it by."),
}  # fmt: skip
VARIANTS: Mapping[str, Mapping[str, Key]] = {
    **SPECIAL,
    "mixed": {"parts": Key(PARTS, "Groups of connections, each with a protocol of its own.", required=True)},
}


def parse_scenario(data: object, check_rules: CheckRules = lambda _rules: None) -> Scenario:
    """Check a parsed scenario document and return its value.

    Args:
        data: The decoded YAML or JSON.
        check_rules: Refuses redaction rules that are no privacy policy; given by whoever knows policies.

    Raises:
        ConfigError: It is no scenario; ``problems`` has each mistake with its path.
    """
    if not isinstance(data, Mapping):
        # Without a path there would be no field to name.
        raise ConfigError("expected keys and values", path=("scenario",), remedy="see docs/scenarios.md")
    scenario: Scenario = _form(check_rules).read(data, ())
    return scenario


def json_schema() -> Schema:
    """Return the JSON schema (draft 2020-12) of scenario files."""
    shared = Schema()
    schema = _form(lambda _rules: None).schema(shared)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Streamlab scenario",
        "description": "What load a test makes. Every key: docs/scenarios.md.",
        **schema,
        "$defs": shared,
    }


def _form(check_rules: CheckRules) -> Tagged:
    return Tagged(
        tag="protocol",
        about="Protocol of all connections, or mixed for several parts.",
        choice=Choice(tuple(VARIANTS)),
        common=COMMON,
        variants=VARIANTS,
        build=lambda values, places: _scenario(values, places, check_rules),
    )


def _scenario(values: dict[str, Any], places: Mapping[str, Path], check_rules: CheckRules) -> Scenario:
    protocol = values["protocol"]
    own = {name for names in VARIANTS.values() for name in names} | set(ANY_PART)
    shared = {name: value for name, value in values.items() if name not in own}
    rate = values.get("messages_per_second", None if "think_time" in values else 1.0)
    base = {"messages_per_second": rate, "payload": values.get("payload", Payload())}
    if protocol == "mixed":
        parts = [read_part({**base, **part}) for part in values["parts"]]
    else:
        special = {name: values[name] for name in VARIANTS[protocol] if name in values}
        parts = [read_part({**base, "protocol": protocol, **special})]
    shared["pii_redaction_rules"] = _rules(values.get("pii_redaction_rules"), check_rules)
    scenario = Scenario(**shared, parts=tuple(parts))
    _check(scenario, places)
    return scenario


def _rules(
    given: tuple[Mapping[str, tuple[str, ...]], Mapping[str, Path]] | None, check: CheckRules
) -> Mapping[str, tuple[str, ...]]:
    values, places = given or ({}, {})
    try:
        check({name: list(fields) for name, fields in values.items()})
    except ConfigError as error:
        which, *rest = error.path
        raise ConfigError(error.what, path=(*places[str(which)], *rest), remedy=error.remedy) from None
    return values


def _check(scenario: Scenario, places: Mapping[str, Path]) -> None:
    """Refuse what does not fit together."""
    problems = []
    if scenario.ramp_up_seconds + scenario.ramp_down_seconds > scenario.duration_seconds:
        which = "ramp_up_seconds" if scenario.ramp_up_seconds else "ramp_down_seconds"
        problems.append(
            ConfigError(
                f"both ramps together are longer than the {scenario.duration_seconds:g} s of the load",
                path=places[which],
                remedy="shorten them or lengthen duration_seconds",
            )
        )
    burst = scenario.burst
    if burst and burst.every_seconds and burst.every_seconds < burst.length_seconds:
        problems.append(
            ConfigError(
                f"a burst of {burst.length_seconds:g} s begins again after {burst.every_seconds:g} s",
                path=places["burst"],
                remedy="make every_seconds longer than length_seconds",
            )
        )
    problems += _strange_operations(
        scenario.failure_injection, scenario.protocols, places["failure_injection"]
    )
    if problems:
        raise DocumentError(problems)


def _strange_operations(faults: Faults, protocols: tuple[str, ...], path: Path) -> list[ConfigError]:
    known = {name for protocol in protocols for name in OPERATIONS[protocol]}
    return [
        ConfigError(
            f"{fault.kind} is for the operation {name!r}, which {' and '.join(protocols)} does not have",
            path=path,
            remedy=f"known: {', '.join(sorted(known))}",
        )
        for fault in faults.faults
        for name in fault.operations
        if name not in known
    ]
