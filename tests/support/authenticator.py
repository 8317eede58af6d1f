"""An authenticator in software: makes and signs as a browser with a passkey does, and as one that cheats."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

Json = dict[str, Any]
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40  # flags of the authenticator data


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """One credential; `count` is its signature counter, which stays 0 unless `counts`."""

    origin: str
    counts: bool = True
    verified: bool = True
    count: int = 0
    user_id: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def make(self, options: Json) -> Json:
        """The JSON of what `navigator.credentials.create()` returns."""
        self.user_id = options["user"]["id"]
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + cbor2.dumps(self.public())
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        attestation = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._credential(
            clientDataJSON=base64url(self._client_data("webauthn.create", options)),
            attestationObject=base64url(cbor2.dumps(attestation)),
        )

    def public(self) -> dict[int, int | bytes]:
        """The key as COSE has it."""
        numbers = self.key.public_key().public_numbers()
        return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}

    def sign(self, options: Json) -> Json:
        """The JSON of what `navigator.credentials.get()` returns."""
        data, client = self._data(options["rpId"]), self._client_data("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            clientDataJSON=base64url(client), authenticatorData=base64url(data), signature=base64url(signature),
            userHandle=self.user_id,
        )  # fmt: skip

    def _data(self, host: str, flags: int = 0) -> bytes:
        self.count += self.counts
        flags |= PRESENT | (VERIFIED if self.verified else 0)
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client_data(self, kind: str, options: Json) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin}).encode()

    def _credential(self, **response: str) -> Json:
        identifier = base64url(self.credential_id)
        return {"id": identifier, "rawId": identifier, "type": "public-key", "response": response}
