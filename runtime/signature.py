"""`manifest.sig` of a bundle: an Ed25519 signature (RFC 8032) over its manifest, which holds every file's digest.

The file is strict: it has one form to the byte, so that nothing in it can be altered unseen. It carries the public key,
so that the signature can always be checked; whom to trust is said elsewhere (`edge.runtime.trust`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from edge.runtime.capabilities import require_module
from edge.runtime.errors import BundleError
from edge.runtime.manifest import refuse_newer, render

SCHEMA = 1
ALGORITHM = "ed25519"
LIMIT_SIGNATURE_BYTES = 1 << 10
PUBLIC_KEY_BYTES, SIGNATURE_BYTES = 32, 64
# What is signed begins with this, so that a signature of something else made with the same key says nothing here.
DOMAIN = b"edge-bundle-manifest-v1\0"

_PRIME = 2**255 - 19
# y of a point of order 8 on edwards25519; with its negative and 0, 1 and -1 these are all points of small order.
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_Y_OF_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _Y_OF_ORDER_8, _PRIME - _Y_OF_ORDER_8})


def key_id_of(public_key: bytes) -> str:
    """What a key is called: the SHA-256 of its 32 raw bytes, in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def is_weak(public_key: bytes) -> bool:
    """Whether a key is a point of small order, under which anyone can make signatures of some messages.

    RFC 8032 leaves this check to the verifier, and OpenSSL does not make it: a file of zeros is such a key.
    """
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)  # without the sign of x
    return y % _PRIME in _Y_OF_SMALL_ORDER


def signed_message(manifest: bytes) -> bytes:
    """The bytes that are signed for a manifest."""
    return DOMAIN + manifest


@dataclass(frozen=True)
class Signature:
    """What `manifest.sig` holds.

    Attributes:
        public_key: Of the signer, 32 raw bytes.
        value: The signature, 64 bytes.
    """

    public_key: bytes
    value: bytes

    @property
    def key_id(self) -> str:
        """Of the signer."""
        return key_id_of(self.public_key)

    def to_bytes(self) -> bytes:
        """As the file holds it."""
        return render(
            {
                "schema": SCHEMA,
                "algorithm": ALGORITHM,
                "key_id": self.key_id,
                "public_key": base64.b64encode(self.public_key).decode(),
                "signature": base64.b64encode(self.value).decode(),
            }
        )

    def matches(self, manifest: bytes) -> bool:
        """Whether the holder of the private key signed exactly this manifest; never so under a weak key.

        Raises:
            MissingDependencyError: cryptography is not installed.
        """
        ed25519 = require_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        exceptions = require_module("cryptography.exceptions")
        try:
            key = ed25519.Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(self.value, signed_message(manifest))
        except (exceptions.InvalidSignature, ValueError):  # ValueError: the bytes are no point of the curve
            return False
        return not is_weak(self.public_key)


def parse_signature(content: bytes, where: str) -> Signature:
    """Reads `manifest.sig`.

    Args:
        content: The file's bytes.
        where: Names the file in messages.

    Raises:
        BundleError: It is of a newer schema, or not to the byte what `Signature.to_bytes` writes.
    """
    malformed = BundleError(
        f"{where} is malformed or was altered", "get the signed bundle again from whoever signed it"
    )
    try:
        raw = json.loads(content)
        refuse_newer(raw["schema"], SCHEMA, where)
        signature = Signature(base64.b64decode(raw["public_key"]), base64.b64decode(raw["signature"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise malformed from error
    is_whole = len(signature.public_key) == PUBLIC_KEY_BYTES and len(signature.value) == SIGNATURE_BYTES
    if not is_whole or signature.to_bytes() != content:
        raise malformed
    return signature
