"""The names of fields: how they are compared, and which are removed whatever a policy says."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

NAME_LIMIT: Final = 64

_SEPARATORS = str.maketrans("", "", "_-. /:[]()")

# Written as in payloads, compared normalised.
_CLASSES: Mapping[str, str] = {
    "credentials": """
password passwd passphrase pwd pass pin otp secret secrets client_secret credential credentials
token tokens access_token refresh_token id_token auth_token session_token csrf_token push_token bearer jwt
auth authorization proxy_authorization x_auth_token cookie cookies set_cookie
api_key apikey x_api_key access_key secret_key private_key license_key signature
""",
    "voice, images and biometrics": """
voice voice_data voice_sample audio audio_data recording image images image_data photo photos picture
pictures selfie avatar video video_data screenshot fingerprint_image face_image biometric biometrics
""",
    "free text": """
message messages msg error_message comment comments note notes text free_text description
transcript transcription utterance prompt feedback review bio caption chat subject
""",
    "names of people": """
name names first_name last_name given_name family_name middle_name maiden_name surname full_name
display_name nick_name user_name contact_name customer_name real_name
""",
    "ways to reach people": """
email emails e_mail mail email_address user_email phone phones phone_number telephone tel mobile_phone
mobile_number msisdn fax
address addresses street street_address home_address postal_address postal_code post_code zip zip_code
""",
    "birth, identity and bank numbers": """
birth_date date_of_birth birthday birth dob
ssn social_security_number national_id tax_id passport passport_number driver_license iban bic
bank_account account_number card cards card_number credit_card credit_card_number pan cvv cvc
""",
}

# A container whose unlisted name contains one of these words goes as a whole: its inner keys ("type",
# "value") would otherwise be judged without knowing what they describe.
_TELLING_WORDS = """
password passwd passphrase pwd secret credential token cookie auth authorization jwt
voice audio recording image photo picture selfie avatar video biometric
message comment note transcript name surname email mail phone telephone msisdn
address street birth birthday dob ssn passport iban card cvv
"""
_TELLING = frozenset(_TELLING_WORDS.split())
_MEASURING_WORDS = "size count total rate bytes length stats statistics metrics latency duration ms"
_MEASURES = frozenset(_MEASURING_WORDS.split())


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """Return *name* as names are compared.

    Folded to plain characters (Unicode NFKC without marks and invisible characters) and to lower case,
    without separators: ``userId``, ``USER-ID``, ``user.id`` and ``ｕｓｅｒ＿ｉｄ`` are one name.
    """
    return plain(name).casefold().translate(_SEPARATORS)


def plain(text: str) -> str:
    """Return *text* with its letters in their plain form: wide ones narrow, no accents, none invisible."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(char for char in parts if unicodedata.category(char) not in ("Mn", "Me", "Cf", "Cc"))


def words(name: str) -> list[str]:
    """Split ``homePhones``, ``home-phones`` or ``HOMEPhones2`` into ``["home", "phones"]``."""
    text = plain(name)
    spaced: list[str] = []
    for index, char in enumerate(text):
        if index and char.isupper() and _begins_word(text, index):
            spaced.append(" ")
        spaced.append(char if char.isalpha() else " ")
    return "".join(spaced).casefold().split()


def _begins_word(text: str, index: int) -> bool:
    following = text[index + 1 : index + 2]
    return text[index - 1].islower() or (text[index - 1].isupper() and following.islower())


def removed_class(name: str) -> str | None:
    """Return which of the classes that are always removed *name*, normalised, belongs to."""
    return _CLASS_OF.get(name)


def telling_word(name: str) -> str | None:
    """Return the word in an unlisted *name* that says that everything under it is personal, or None.

    Numbers about such data are none: ``message_stats`` are no messages.
    """
    parts = words(name)
    if not parts or parts[-1] in _MEASURES:
        return None
    singular = {form for part in parts for form in (part, part.removesuffix("s"), part.removesuffix("es"))}
    return min(_TELLING & singular, default=None)


_CLASS_OF: Mapping[str, str] = {
    normalise(name): kind for kind, names in _CLASSES.items() for name in names.split()
}
