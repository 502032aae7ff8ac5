"""Whose signature counts: the public keys that a user trusts, and what is made of a bundle's signature by them."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge.runtime.capabilities import has_module, require_module
from edge.runtime.errors import BundleError, ConfigError
from edge.runtime.manifest import printable
from edge.runtime.signature import is_weak, key_id_of, parse_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG_VARIABLE = "EDGE_CONFIG"
KEY_FOLDER = "trusted_keys"
PUBLIC_SUFFIX = ".pub.pem"
PEM_HEAD, PEM_FOOT = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
LIMIT_PEM_BYTES = 1 << 14
# RFC 8410, section 4: a SubjectPublicKeyInfo of an Ed25519 key has this one DER form, followed by the 32 raw bytes.
_DER_HEAD = bytes.fromhex("302a300506032b6570032100")
_DER_BYTES = len(_DER_HEAD) + 32


@dataclass(frozen=True)
class SignatureStatus:
    """What a bundle's signature says; in words as `str`.

    Attributes:
        state: `trusted` and `unknown_key` were checked and hold; `not_checked` was not, for cryptography is absent.
        key_id: SHA-256 of the signer's public key.
        key_name: What the user calls that key, where it is trusted.
    """

    state: Literal["unsigned", "unknown_key", "trusted", "not_checked"]
    key_id: str | None = None
    key_name: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether a key that the user trusts has signed exactly this manifest."""
        return self.state == "trusted"

    def __str__(self) -> str:
        return {
            "unsigned": "unsigned",
            "unknown_key": f"signed by unknown key {self.key_id}",
            "trusted": f"signed by trusted key {self.key_name}",
            "not_checked": "not checked: cryptography is not installed",
        }[self.state]

    def to_json(self) -> dict[str, str | None]:
        """For a program."""
        return {"state": self.state, "key_id": self.key_id, "key_name": self.key_name}


UNSIGNED = SignatureStatus("unsigned")


@dataclass(frozen=True)
class TrustedKeys:
    """Public keys that the user trusts.

    Attributes:
        names: What each is called, by its id.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, paths: Iterable[Path] = ()) -> TrustedKeys:
        """Reads the PEM files of `paths`, and those of the user's own folder.

        A key is called as its file, without `.pub.pem` or `.pem`; the first of two files with one key names it.

        Raises:
            ConfigError: A file cannot be read, or holds anything but one Ed25519 public key.
        """
        names: dict[str, str] = {}
        for path in (*paths, *sorted(trusted_folder().glob("*.pem"))):
            names.setdefault(key_id_of(read_public_key(path)), _name_of(path))
        return cls(names)


@dataclass(frozen=True)
class TrustPolicy:
    """What is asked of a bundle's signature.

    Attributes:
        require_signature: Refuse a bundle that no trusted key has signed.
        trusted: The keys that count.
    """

    require_signature: bool = False
    trusted: TrustedKeys = TrustedKeys()

    @classmethod
    def of_user(cls, paths: Iterable[Path] = (), *, require_signature: bool = False) -> TrustPolicy:
        """With the keys of `paths` and of the user's own folder.

        Raises:
            ConfigError: As `TrustedKeys.load`.
        """
        return cls(require_signature, TrustedKeys.load(paths))


def trusted_folder() -> Path:
    """`$EDGE_CONFIG/trusted_keys`; the variable is `~/.config/edge` where it is not set."""
    own = os.environ.get(CONFIG_VARIABLE)
    return (Path(own) if own else Path("~/.config/edge").expanduser()) / KEY_FOLDER


def read_public_key(path: Path) -> bytes:
    """The 32 raw bytes of an Ed25519 public key in a PEM file (SubjectPublicKeyInfo).

    Raises:
        ConfigError: The file cannot be read, or holds anything else.
    """
    where = printable(str(path))
    try:
        with path.open("rb") as stream:
            text = " ".join(stream.read(LIMIT_PEM_BYTES).decode("ascii").split())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read a public key from {where}", "pass a NAME.pub.pem file") from error
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{where} is a private key", f"pass the public one, NAME{PUBLIC_SUFFIX}, and keep that safe")
    try:
        is_pem = text.startswith(PEM_HEAD) and text.endswith(PEM_FOOT)
        inner = text[len(PEM_HEAD) : -len(PEM_FOOT)].replace(" ", "") if is_pem else ""
        der = base64.b64decode(inner, validate=True)
    except ValueError:
        der = b""
    if len(der) != _DER_BYTES or not der.startswith(_DER_HEAD):
        raise ConfigError(f"{where} holds no Ed25519 public key in PEM form", "make a pair with: edge sign --new-key")
    raw = der[len(_DER_HEAD) :]
    if is_weak(raw):
        raise ConfigError(f"{where} is a key that anyone can sign under", "make a pair with: edge sign --new-key")
    return raw


def check_signature(manifest: bytes, signature: bytes | None, path: Path, trust: TrustPolicy | None) -> SignatureStatus:
    """What to make of a bundle's signature; whatever is wrong with one is an error, whether it is required or not.

    Args:
        manifest: The bytes of `manifest.json`.
        signature: Those of `manifest.sig`; None where there is none.
        path: Of the bundle, for messages.
        trust: What is asked; without it nothing is required, and the keys of the user's own folder count.

    Raises:
        BundleError: The signature is malformed or does not match; or that of a trusted key is required and absent.
        MissingDependencyError: A signature is required, and cryptography is not installed.
        ConfigError: As `TrustedKeys.load`.
    """
    where, required = printable(str(path)), trust is not None and trust.require_signature
    if signature is None:
        if required:
            raise BundleError(
                f"{where} is unsigned, and a signature is required",
                "get it signed by whoever packed it, or sign it: edge sign BUNDLE --key KEY.pem",
            )
        return UNSIGNED
    if required:
        require_module("cryptography")
    trust = trust or TrustPolicy.of_user()
    status = verify_signature(manifest, signature, trust.trusted, where)
    if required and not status.is_trusted:
        raise BundleError(
            f"{where} is signed by the unknown key {status.key_id}",
            f"if you know whose it is, pass --trusted-key NAME{PUBLIC_SUFFIX}, or copy that file to {trusted_folder()}",
        )
    return status


def verify_signature(manifest: bytes, signature: bytes, trusted: TrustedKeys, where: str) -> SignatureStatus:
    """Checks a signature by the public key that it carries, and looks that key up among the trusted ones.

    Args:
        manifest: The bytes of `manifest.json`.
        signature: Those of `manifest.sig`.
        trusted: The keys that count.
        where: Names the bundle in messages.

    Raises:
        BundleError: It is malformed, or does not match.
    """
    parsed = parse_signature(signature, f"{where}/manifest.sig")
    if not has_module("cryptography"):
        return SignatureStatus("not_checked", parsed.key_id)
    if not parsed.matches(manifest):
        raise BundleError(
            f"the signature of {where} does not match its manifest.json: one of the two was altered",
            "get the signed bundle again from whoever signed it",
        )
    name = trusted.names.get(parsed.key_id)
    return SignatureStatus("unknown_key" if name is None else "trusted", parsed.key_id, name)


def _name_of(path: Path) -> str:
    name = path.name
    return printable(name.removesuffix(".pem").removesuffix(".pub") or name)
