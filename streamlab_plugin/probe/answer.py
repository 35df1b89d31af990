"""What a probe found out, as a value that can be shown, compared and counted."""

from __future__ import annotations

from dataclasses import dataclass, field

OK = "ok"
BAD_STATUS = "bad_status"
REFUSED = "refused"
TIMEOUT = "timeout"
TLS = "tls"
PROTOCOL = "protocol"
NOT_AUTHORISED = "not_authorised"
UNRESOLVED = "unresolved"
OUTCOMES = (OK, BAD_STATUS, REFUSED, TIMEOUT, TLS, PROTOCOL, NOT_AUTHORISED, UNRESOLVED)

Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One attempt.

    Args:
        target: Where to, without any secret.
        outcome: One of `OUTCOMES`.
        reason: Why it is not ok; empty when it is.
        timings_ms: Duration of each phase that was completed, in the order in which they ended.
        facts: What was learnt about the target, e.g. its ``status``.
        warnings: What is ok now and will not stay so.
    """

    target: str
    outcome: str
    reason: str = ""
    timings_ms: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Failure(Exception):  # noqa: N818 - it ends an attempt, and is the result rather than an error of ours
    """The attempt is over: *outcome*, and *reason* without anything secret."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
