"""One function per payload shape that takes the values that stay and treats each as its field wants.

It is generated, because it runs for every payload: a loop over positions costs as much as the treatment
itself. The generated text holds only names made here; keys and bounds come through its namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from streamlab_plugin.privacy.bucket import LONGEST_DEGREES, per_degree, rounder
from streamlab_plugin.privacy.pair import Pair
from streamlab_plugin.privacy.policy import Decision
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import DROPPED, PLAIN_NUMBER, identifier
from streamlab_plugin.privacy.treatment import Treatment


class Redacted(NamedTuple):
    """What may be stored of a payload.

    ``keys`` are the kept keys of the top level in the payload's order, or ``("[]",)`` for an array;
    ``values`` are theirs. ``schema_hash`` and ``paths`` describe the payload before redaction (see `shape`).
    """

    keys: tuple[str, ...]
    values: list[object]
    schema_hash: str
    paths: tuple[str, ...]


Apply = Callable[[dict[str, Any]], Redacted | None]
"""Redacts one payload that has the names it was made for, in their order; None: its types are others."""

# How a value v of each kind is treated; a treatment without ``thin`` always gives something to store.
_TREATMENTS: Mapping[str, str] = {
    "plain": "",
    "null_id": "",
    "number": "if not -N < {v} < N and ({v} := odd_number({v})) is DROPPED: thin = True",
    "text": "if {v} not in clean_texts: {v} = text({v})",
    "id_text": "{v} = known({v}) or make({v})",
    "id": "{v} = pseudonym(identifier({v}))",
    "degrees": "if not -D <= {v} <= D: {v} = coarse({v}, {d}); thin = thin or {v} is DROPPED"
    "\n    else: {v} = {r}",
    "coarse": "if ({v} := coarse({v}, {d})) is DROPPED: thin = True",
    "paired": "if ({v} := paired({v}, payload[PN], {d}, PAIR, 1)) is DROPPED: thin = True",
    "container": "if ({v} := value({v}, {d}, 1)) is DROPPED: thin = True",
}


def compile_applier(
    types: Mapping[str, type],
    fields: Mapping[str, tuple[str, Decision]],
    pair: Pair | None,
    schema: tuple[str, tuple[str, ...]],
    uses: list[int],
    treatment: Treatment,
    pseudonyms: Pseudonyms,
) -> Apply:
    """Compile the function for a shape.

    Args:
        types: Of all values of a payload, by name and in their order.
        fields: Key to (kind, decision), in the order of the result.
        pair: Which fields are a name and its value.
        schema: The shape's hash and paths.
        uses: One number, to which the function adds one for each payload.
        treatment: How the values of some kinds are treated.
        pseudonyms: Makes what replaces ids.
    """
    keys, (schema_hash, paths) = tuple(fields), schema
    names: dict[str, Any] = {
        "N": PLAIN_NUMBER, "D": LONGEST_DEGREES, "DROPPED": DROPPED, "identifier": identifier, "uses": uses,
        "known": pseudonyms.known.get, "make": pseudonyms.make, "pseudonym": pseudonyms.of,
        "clean_texts": treatment.clean_texts, "text": treatment.text, "odd_number": treatment.odd_number,
        "coarse": treatment.coarse, "paired": treatment.paired, "value": treatment.value,
        "start": treatment.start, "PAIR": pair, "PN": pair and pair.name,
        # Past the class's own constructor, which takes twice as long.
        "redacted": partial(tuple.__new__, Redacted), "thinned": partial(_thinned, keys, schema_hash, paths),
        "K": keys, "H": schema_hash, "P": paths,
    }  # fmt: skip
    values = [f"a{index}" for index in range(len(types))]
    names.update({f"T{index}": kind for index, kind in enumerate(types.values())})
    as_made = " and ".join(f"{value}.__class__ is T{index}" for index, value in enumerate(values))
    lines = [
        "def apply(payload):",
        f"    [{', '.join(values)}] = payload.values()",
        f"    if not ({as_made or True}): return None",
        "    uses[0] += 1",
        "    thin = False",
    ]
    place = {name: values[index] for index, name in enumerate(types)}
    if any(kind in ("container", "paired") for kind, _decision in fields.values()):
        lines.append("    start(len(payload))")
    for index, (key, (kind, decision)) in enumerate(fields.items()):
        value, names[f"d{index}"] = place[key], decision
        rounded = ""
        if kind == "degrees" and decision.bucket is not None:
            names[f"r{index}"] = rounder(decision.bucket.size)
            count = per_degree(decision.bucket.size)
            # What `rounder` would do, without the call.
            rounded = f"({value} * {count} + 0.5) // 1 / {count} + 0.0" if count else f"r{index}({value})"
        if statement := _TREATMENTS[kind]:
            lines.append("    " + statement.format(v=value, d=f"d{index}", r=rounded))
    stays = ", ".join(place[key] for key in fields)
    lines.append(f"    return thinned([{stays}]) if thin else redacted((K, [{stays}], H, P))")
    exec("\n".join(lines), names)  # noqa: S102 - the text is made of the constants above
    apply: Apply = names["apply"]
    return apply


def _thinned(
    keys: tuple[str, ...], schema_hash: str, paths: tuple[str, ...], values: list[object]
) -> Redacted:
    stays = [index for index, value in enumerate(values) if value is not DROPPED]
    return Redacted(
        tuple(keys[index] for index in stays), [values[index] for index in stays], schema_hash, paths
    )
