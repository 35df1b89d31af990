"""How a broker says no: one exception per MQTT 5 reason code, so that failures can be told apart by type.

MqttError                     ``status`` is the reason code, ``reason`` its name
├── ConnectionLostError       the connection vanished, or there is none; the status is 128
├── UnspecifiedError          128
├── NotAuthorisedError        135
├── QuotaExceededError        151
└── …                         each of 128 to 162, named as in MQTT 5.0, section 2.4

paho translates the codes of 3.1.1 into those of 5.
"""

from __future__ import annotations

# From this code on a reason code means failure.
FAILURE = 0x80

# In the order of their codes, from `FAILURE`.
REASONS = (
    "unspecified", "malformed_packet", "protocol", "implementation_specific", "unsupported_protocol_version",
    "client_identifier_not_valid", "bad_user_name_or_password", "not_authorised", "server_unavailable",
    "server_busy", "banned", "server_shutting_down", "bad_authentication_method", "keep_alive_timeout",
    "session_taken_over", "topic_filter_invalid", "topic_name_invalid", "packet_identifier_in_use",
    "packet_identifier_not_found", "receive_maximum_exceeded", "topic_alias_invalid", "packet_too_large",
    "message_rate_too_high", "quota_exceeded", "administrative_action", "payload_format_invalid",
    "retain_not_supported", "qos_not_supported", "use_another_server", "server_moved",
    "shared_subscriptions_not_supported", "connection_rate_exceeded", "maximum_connect_time",
    "subscription_identifiers_not_supported", "wildcard_subscriptions_not_supported",
)  # fmt: skip


class MqttError(ConnectionError):
    """The broker refused or ended something.

    Args:
        what: What it refused or ended.
        status: The MQTT 5 reason code.
    """

    reason = "unknown"

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what}: {self.reason.replace('_', ' ')}")
        self.status = status


class ConnectionLostError(MqttError):
    """The connection vanished, or there is none."""

    reason = "connection_lost"

    def __init__(self, what: str) -> None:
        super().__init__(what, FAILURE)


def _kind(reason: str) -> type[MqttError]:
    name = "".join(word.capitalize() for word in reason.split("_"))
    return type(f"{name}Error", (MqttError,), {"reason": reason, "__module__": __name__})


_KINDS = {code: _kind(reason) for code, reason in enumerate(REASONS, FAILURE)}


def failure(what: str, status: int) -> MqttError:
    """Return the exception for a reason code; an `MqttError` where MQTT 5 does not know the code."""
    return _KINDS.get(status, MqttError)(what, status)
