"""What the browser's authenticator is asked for, and whether what it answers holds (WebAuthn).

The library is imported at the first use: it costs 0.1 s and 24 MiB, and few requests need it.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.store import challenges, plain_cbor
from portal.store.errors import Refused

RP_NAME = "Mosis"
ID_MAX, KEY_MAX = 1023, 2048  # bytes of a credential's id (WebAuthn) and of its public key (RSA of 4096 bits: 530)
RSA_BITS_MIN = 2048


@dataclass(frozen=True)
class RelyingParty:
    """The store as browsers know it: passkeys belong to a `host`, and `origin` is that of its pages."""

    host: str
    origin: str


@dataclass(frozen=True)
class Credential:
    """What an authenticator has made, as the store keeps it; `sign_count` is 0 if it does not count."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def registration(
    party: RelyingParty, challenge: bytes, user_id: bytes, user_name: str, known: Sequence[bytes]
) -> dict[str, Any]:
    """The argument of `navigator.credentials.create()` as JSON; an authenticator that has one of `known` makes none."""
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict, structs

    return options_to_json_dict(
        generate_registration_options(
            rp_id=party.host, rp_name=RP_NAME, user_id=user_id, user_name=user_name, challenge=challenge,
            timeout=challenges.SECONDS * 1000, supported_pub_key_algs=_algorithms(),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=each) for each in known],
        )
    )  # fmt: skip


def authentication(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """The argument of `navigator.credentials.get()` as JSON, for any passkey of this store."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict, structs

    return options_to_json_dict(
        generate_authentication_options(
            rp_id=party.host, challenge=challenge, timeout=challenges.SECONDS * 1000,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
    )  # fmt: skip


def registered(party: RelyingParty, challenge: bytes, sent: Mapping[str, Any]) -> Credential:
    """The credential that an authenticator has made for this challenge. Raises Refused (INVALID_PROOF)."""
    from webauthn import verify_registration_response

    try:
        _require_plain_attestation(_bytes(sent["response"]["attestationObject"]))
        made = verify_registration_response(
            credential=dict(sent), expected_challenge=challenge, expected_rp_id=party.host,
            expected_origin=party.origin, require_user_verification=True, supported_pub_key_algs=_algorithms(),
        )  # fmt: skip
    except Exception as error:
        raise _invalid(error) from error
    if len(made.credential_id) > ID_MAX or len(made.credential_public_key) > KEY_MAX:
        raise Refused("INVALID_PROOF", "This authenticator makes passkeys that are too large.")
    if _rsa_bits(made.credential_public_key) < RSA_BITS_MIN:
        raise Refused("INVALID_PROOF", f"This authenticator makes RSA keys of fewer than {RSA_BITS_MIN} bits.")
    return Credential(made.credential_id, made.credential_public_key, made.sign_count)


def signed(party: RelyingParty, challenge: bytes, sent: Mapping[str, Any], known: Credential, user_id: bytes) -> int:
    """The authenticator's count after it has signed this challenge with the known credential, for this user.

    The count is not compared with the known one. Raises Refused (INVALID_PROOF).
    """
    from webauthn import verify_authentication_response

    try:
        plain_cbor.authenticator_data(_bytes(sent["response"]["authenticatorData"]))
        proved = verify_authentication_response(
            credential=dict(sent), expected_challenge=challenge, expected_rp_id=party.host,
            expected_origin=party.origin, require_user_verification=True,
            credential_public_key=known.public_key, credential_current_sign_count=0,
        )  # fmt: skip
        if _bytes(sent["response"]["userHandle"]) != user_id:
            raise Refused("INVALID_PROOF", "The passkey is of somebody else.")
    except Refused:
        raise
    except Exception as error:
        raise _invalid(error) from error
    return proved.new_sign_count


def challenge_in(sent: Mapping[str, Any]) -> bytes:
    """The challenge that an authenticator says it has signed. Raises Refused (INVALID_PROOF)."""
    try:
        return _bytes(json.loads(_bytes(sent["response"]["clientDataJSON"]))["challenge"])
    except Exception as error:
        raise _invalid(error) from error


def id_in(sent: Mapping[str, Any]) -> bytes:
    """The id of the credential that an authenticator says it has used. Raises Refused (INVALID_PROOF)."""
    try:
        return _bytes(sent["rawId"])
    except Exception as error:
        raise _invalid(error) from error


def user_id(developer_id: str, scope: str) -> bytes:
    """Whom an authenticator keeps a passkey for: of one user it keeps the last one."""
    return hashlib.sha256(f"mosis {developer_id} {scope}".encode()).digest()


def _rsa_bits(public_key: bytes) -> float:
    """The length of an RSA key; without a bound for a key on a curve, whose algorithm has one length."""
    from webauthn.helpers.decode_credential_public_key import DecodedRSAPublicKey, decode_credential_public_key

    key = decode_credential_public_key(public_key)
    return int.from_bytes(key.n).bit_length() if isinstance(key, DecodedRSAPublicKey) else math.inf


def _require_plain_attestation(data: bytes) -> None:
    """Raises ValueError for CBOR that could cost the library more than its length, and other errors for none."""
    from webauthn.helpers import parse_cbor

    plain_cbor.items(data)
    plain_cbor.authenticator_data(parse_cbor(data)["authData"])


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(f"{text}===")


def _algorithms() -> list[Any]:
    """ES256 is what all have, EdDSA some, RS256 Windows Hello."""
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    return [COSEAlgorithmIdentifier.EDDSA, COSEAlgorithmIdentifier.ECDSA_SHA_256,
            COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256]  # fmt: skip


def _invalid(error: Exception) -> Refused:
    """The library raises errors of its own and, for bytes that are none of CBOR or of a key, any other one."""
    return Refused("INVALID_PROOF", f"The passkey's signature does not verify ({type(error).__name__}): try again.")
