"""A CI service that issues ID tokens (OpenID Connect), with keys of its own."""

import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "https://store.test"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass
class CiService:
    """Its keys are in the file `jwks`."""

    jwks: Path
    issuer: str = "https://ci.test"
    keys: dict[str, Any] = field(default_factory=lambda: {"rsa": RSA_KEY, "ec": EC_KEY})

    def publish(self) -> None:
        """Write the public keys."""
        found = []
        for kid, key in self.keys.items():
            algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            found.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        self.jwks.parent.mkdir(parents=True, exist_ok=True)
        self.jwks.write_text(json.dumps({"keys": found}))

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of GitHub, as far as they matter; None leaves one out."""
        at = int(time.time())
        usual = {
            "iss": self.issuer, "aud": AUDIENCE, "iat": at, "nbf": at, "exp": at + 300, "jti": uuid.uuid4().hex,
            "repository_id": "4711", "ref": "refs/tags/v1.0.0", "sub": "repo:acme/hello:ref:refs/tags/v1.0.0",
        }  # fmt: skip
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(self, kid: str = "rsa", algorithm: str = "", **changed: Any) -> str:
        algorithm = algorithm or {"rsa": "RS256", "ec": "ES256"}[kid]
        return jwt.encode(self.claims(**changed), self.keys[kid], algorithm, {"kid": kid})

    def settings(self) -> dict[str, object]:
        """Of a store that trusts it."""
        return {"issuers": [{"issuer": self.issuer, "jwks_file": str(self.jwks)}], "audience": AUDIENCE}
