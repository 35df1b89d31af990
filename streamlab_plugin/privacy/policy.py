"""What a payload field's name decides about its value.

A policy is an allow-list: a field that no list names is dropped. Names are compared without case and
without ``_ - .`` and blanks, and always as a whole, so that ``latency_ms`` and ``platform`` are no
coordinates. Some names are removed whatever a policy says; a policy that keeps or hashes one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from streamlab_plugin.core.errors import ConfigError

LISTS = ("keep", "hash", "bucket", "remove")
BUCKET_DEGREES = 0.1  # about 11 km of latitude: a city
_KEYS = (*LISTS, "bucket_degrees")
_NAME_LIMIT = 64

_IGNORED = str.maketrans("", "", "_-. ")


class Action(Enum):
    """What happens to a field."""

    KEEP = "keep"
    HASH = "hash"
    BUCKET = "bucket"
    REMOVE = "remove"
    DROP = "drop"  # not listed: a scalar goes, a container is judged by its own keys


def normalise(name: str) -> str:
    """Return *name* as names are compared: lower case, without ``_``, ``-``, ``.`` and blanks."""
    return name.lower().translate(_IGNORED)


# Removed whatever a policy says, written as in payloads, compared normalised.
_ALWAYS_REMOVED = """
password passwd passphrase pwd pass pin otp secret secrets client_secret credential credentials
token tokens access_token refresh_token id_token auth_token session_token csrf_token push_token bearer jwt
auth authorization proxy_authorization x_auth_token cookie cookies set_cookie
api_key apikey x_api_key access_key secret_key private_key license_key signature
voice voice_data voice_sample audio audio_data recording image images image_data photo photos picture
pictures selfie avatar video video_data screenshot fingerprint_image face_image biometric biometrics
message messages msg error_message comment comments note notes text free_text description
transcript transcription utterance prompt feedback review bio caption chat subject
name names first_name last_name given_name family_name middle_name maiden_name surname full_name
display_name nick_name user_name contact_name customer_name real_name
email emails e_mail mail email_address user_email phone phones phone_number telephone tel mobile_phone
mobile_number msisdn fax
address addresses street street_address home_address postal_address postal_code post_code zip zip_code
birth_date date_of_birth birthday birth dob
ssn social_security_number national_id tax_id passport passport_number driver_license iban bic
bank_account account_number card cards card_number credit_card credit_card_number pan cvv cvc
"""
ALWAYS_REMOVED = frozenset(map(normalise, _ALWAYS_REMOVED.split()))

# A container whose unlisted name contains one of these words goes as a whole: its inner keys ("type",
# "value") would otherwise be judged without knowing what they describe.
_TELLING_WORDS = """
password passwd passphrase pwd secret credential token cookie auth authorization jwt
voice audio recording image photo picture selfie avatar video biometric
message comment note transcript name surname email mail phone telephone msisdn
address street birth birthday dob ssn passport iban card cvv
"""
_TELLING = frozenset(_TELLING_WORDS.split())


def _words(name: str) -> set[str]:
    """Split ``homePhones`` or ``home-phones`` into ``{"home", "phone"}``."""
    spaced = "".join(
        f" {char}" if char.isupper() and index and name[index - 1].islower() else char
        for index, char in enumerate(name)
    )
    parts = "".join(char if char.isalnum() else " " for char in spaced).lower().split()
    return {word for part in parts for word in (part, part.removesuffix("s"), part.removesuffix("es"))}


@dataclass(frozen=True, slots=True)
class Policy:
    """Field names by what happens to them, normalised; a name is in one set at most."""

    keep: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    bucket: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    bucket_degrees: float = BUCKET_DEGREES

    def action(self, name: str) -> Action:
        """Return what happens to a field called *name*; removing wins over hashing, bucketing, keeping."""
        if len(name) > _NAME_LIMIT:
            return Action.REMOVE  # not a field name but data
        plain = normalise(name)
        if plain in ALWAYS_REMOVED or plain in self.remove:
            return Action.REMOVE
        if plain in self.hash:
            return Action.HASH
        if plain in self.bucket:
            return Action.BUCKET
        if plain in self.keep:
            return Action.KEEP
        return Action.DROP if _TELLING.isdisjoint(_words(name)) else Action.REMOVE


def parse_policy(data: object) -> Policy:
    """Return the policy that the document *data* describes (see docs/privacy.md).

    Args:
        data: The decoded document: lists ``keep``, ``hash``, ``bucket``, ``remove``; number
            ``bucket_degrees``.

    Raises:
        ConfigError: An unknown key, a wrong type, a name in two lists, or an always removed name in
            ``keep``, ``hash`` or ``bucket``.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"a privacy policy is a mapping, got {type(data).__name__}",
            remedy=f"use the keys {', '.join(_KEYS)}",
        )
    for key in data:
        if key not in _KEYS:
            raise ConfigError(f"unknown key {key!r}", path=(str(key),), remedy=f"known: {', '.join(_KEYS)}")
    homes = _homes(data)
    lists = {which: frozenset(name for name, home in homes.items() if home == which) for which in LISTS}
    return Policy(
        keep=lists["keep"],
        hash=lists["hash"],
        bucket=lists["bucket"],
        remove=lists["remove"],
        bucket_degrees=_degrees(data),
    )


def extended_policy(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that *own* means when it extends *default*; both are valid policies.

    A name that *own* lists leaves the list in which *default* has it: so a kept field can be removed.
    """
    listed = {normalise(name) for which in LISTS for name in own.get(which) or ()}
    merged: dict[str, Any] = {**default, **own}
    for which in LISTS:
        inherited = [name for name in default.get(which) or () if normalise(name) not in listed]
        merged[which] = [*inherited, *(own.get(which) or ())]
    return merged


def _homes(data: Mapping[object, object]) -> dict[str, str]:
    """Return which list each normalised name is in."""
    homes: dict[str, str] = {}
    for which in LISTS:
        for index, name in enumerate(_names(data, which)):
            path = (which, index)
            plain = normalise(name)
            if which != "remove" and plain in ALWAYS_REMOVED:
                raise ConfigError(
                    f"{name!r} is always removed and cannot be listed under `{which}`",
                    path=path,
                    remedy="take it off the list",
                )
            if homes.setdefault(plain, which) != which:
                raise ConfigError(
                    f"{name!r} is listed under `{homes[plain]}` and under `{which}`",
                    path=path,
                    remedy="names are compared without case, `_`, `-`, `.` and blanks; keep one of the two",
                )
    return homes


def _names(data: Mapping[object, object], which: str) -> list[str]:
    names = data.get(which)
    if names is None:
        return []
    if not isinstance(names, list):
        raise ConfigError(
            f"expected a list of field names, got {type(names).__name__}",
            path=(which,),
            remedy="write one name per line, each after `- `",
        )
    for index, name in enumerate(names):
        if not isinstance(name, str) or not normalise(name):
            raise ConfigError(
                f"expected a field name, got {name!r}", path=(which, index), remedy="quote it if it is a name"
            )
    return names


def _degrees(data: Mapping[object, object]) -> float:
    degrees = data.get("bucket_degrees", BUCKET_DEGREES)
    if isinstance(degrees, bool) or not isinstance(degrees, int | float):
        raise ConfigError(
            f"expected a number of degrees, got {degrees!r}",
            path=("bucket_degrees",),
            remedy=f"for example {BUCKET_DEGREES}",
        )
    if not BUCKET_DEGREES <= degrees <= 90:
        raise ConfigError(
            f"{degrees} is outside {BUCKET_DEGREES}..90 degrees",
            path=("bucket_degrees",),
            remedy="a finer bucket would be a precise location, which is always removed",
        )
    return float(degrees)
