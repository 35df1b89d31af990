"""One function per payload shape that takes the values that stay and treats each as its field wants.

It is generated, because it runs for every payload: a loop over positions costs as much as the treatment
itself. The generated text holds only names made here; keys and bounds come through its namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamlab_plugin.privacy.policy import Action
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import DROPPED, LONGEST_DEGREES, PLAIN_NUMBER, identifier
from streamlab_plugin.privacy.treatment import Treatment

Apply = Callable[[dict[str, Any]], tuple[list[Any], bool]]
"""Returns the treated values in the order of the fields, and whether one of them became `DROPPED`."""

# How a value v of each kind is treated; False at the end: it is always stored.
_TREATMENTS: Mapping[str, tuple[str, bool]] = {
    "plain": ("", False),
    "null_id": ("", False),
    "number": ("if not -N < {v} < N: {v} = odd_number({v})", True),
    "text": ("if {v} not in clean_texts: {v} = text({v})", False),
    "id_text": ("{v} = pseudonym({v})", False),
    "id": ("{v} = pseudonym(identifier({v}))", False),
    "degrees": ("{v} = bucket({v}) if -D <= {v} <= D else coordinate({v})", True),
    "coordinate": ("{v} = coordinate({v})", True),
    "container": ("{v} = value({v}, {a}, 1)", True),
}


def compile_applier(
    fields: Mapping[str, tuple[str, Action]], treatment: Treatment, pseudonyms: Pseudonyms
) -> Apply:
    """Compile the function for *fields*: key to (kind, action), in the order of the result."""
    names: dict[str, Any] = {
        "N": PLAIN_NUMBER, "D": LONGEST_DEGREES, "DROPPED": DROPPED, "identifier": identifier,
        "pseudonym": pseudonyms.of, "clean_texts": treatment.clean_texts, "text": treatment.text,
        "odd_number": treatment.odd_number, "bucket": treatment.bucket, "coordinate": treatment.coordinate,
        "value": treatment.value, "start": treatment.start,
    }  # fmt: skip
    lines = ["def apply(payload):"]
    if any(kind == "container" for kind, _action in fields.values()):
        lines.append("    start(len(payload))")
    droppable = []
    for index, (key, (kind, action)) in enumerate(fields.items()):
        names[f"k{index}"], names[f"a{index}"] = key, action
        statement, may_drop = _TREATMENTS[kind]
        lines.append(f"    v{index} = payload[k{index}]")
        if statement:
            lines.append("    " + statement.format(v=f"v{index}", a=f"a{index}"))
        if may_drop:
            droppable.append(f"v{index} is DROPPED")
    values = ", ".join(f"v{index}" for index in range(len(fields)))
    lines.append(f"    return [{values}], {' or '.join(droppable) or 'False'}")
    exec("\n".join(lines), names)  # noqa: S102 - the text is made of the constants above
    apply: Apply = names["apply"]
    return apply
