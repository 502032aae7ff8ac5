"""Signing a bundle: key pairs in PEM files, and `manifest.sig` put into a bundle that has been checked whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runtime.bundle import Bundle
from edge.runtime.bundle_layout import SIGNATURE
from edge.runtime.capabilities import require_module
from edge.runtime.errors import BundleError, ConfigError, first_line
from edge.runtime.signature import Signature, key_id_of, signed_message
from edge.runtime.trust import LIMIT_PEM_BYTES, PUBLIC_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable

_SERIALIZATION = "cryptography.hazmat.primitives.serialization"
_ED25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"
_OWNER_ONLY, _FOR_ALL = 0o600, 0o644


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key.

    Attributes:
        public_key: The 32 raw bytes of its public half.
    """

    public_key: bytes
    _private: Any = field(repr=False, compare=False)

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key."""
        return key_id_of(self.public_key)

    def sign(self, manifest: bytes) -> Signature:
        """Signs the bytes of a `manifest.json`."""
        return Signature(self.public_key, self._private.sign(signed_message(manifest)))

    def to_pem(self, passphrase: str | None = None) -> tuple[bytes, bytes]:
        """The private key (PKCS#8, encrypted under a passphrase) and the public one (SubjectPublicKeyInfo)."""
        forms = require_module(_SERIALIZATION)
        locked = forms.BestAvailableEncryption(passphrase.encode()) if passphrase else forms.NoEncryption()
        private = self._private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, locked)
        public = self._private.public_key()
        return private, public.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)


def public_path(path: Path) -> Path:
    """Where the public half of the private key `NAME.pem` lies: `NAME.pub.pem`."""
    return path.with_name(path.name.removesuffix(".pem") + PUBLIC_SUFFIX)


def generate_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """Makes a key pair: `NAME.pem`, readable by its owner alone, and `NAME.pub.pem`.

    Args:
        path: Of the private key.
        passphrase: Encrypts the private key.

    Raises:
        ConfigError: A file is there already, cannot be written, or is not called `NAME.pem`.
        MissingDependencyError: cryptography is not installed.
    """
    if path.suffix != ".pem" or path.name.endswith(PUBLIC_SUFFIX) or not path.name.removesuffix(".pem"):
        raise ConfigError(f"a private key cannot be called {path.name}", "name it NAME.pem")
    key = _wrap(require_module(_ED25519).Ed25519PrivateKey.generate())
    private, public = key.to_pem(passphrase)
    _write_new(path, private, _OWNER_ONLY)
    try:
        _write_new(public_path(path), public, _FOR_ALL)
    except BaseException:
        path.unlink()
        raise
    return key


def load_signing_key(path: Path, ask_passphrase: Callable[[], str] | None = None) -> SigningKey:
    """Reads a private key in PEM form (PKCS#8).

    Args:
        path: The file.
        ask_passphrase: Called where the key is encrypted, and only there.

    Raises:
        ConfigError: The file cannot be read, is no Ed25519 private key, or the passphrase is absent or wrong.
        MissingDependencyError: cryptography is not installed.
    """
    forms, ed25519 = require_module(_SERIALIZATION), require_module(_ED25519)
    try:
        with path.open("rb") as stream:
            content = stream.read(LIMIT_PEM_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read the private key {path} ({error.strerror})", "pass a NAME.pem file") from error
    passphrase = _passphrase(path, content, ask_passphrase)
    try:
        private = forms.load_pem_private_key(content, passphrase)
    except (ValueError, TypeError, require_module("cryptography.exceptions").UnsupportedAlgorithm) as error:
        what = first_line(error) if passphrase is None else "the passphrase is wrong"
        raise ConfigError(
            f"{path} does not open as a private key: {what}", "pass a key of: edge sign --new-key"
        ) from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise ConfigError(
            f"{path} is a key of another kind than Ed25519", "make one with: edge sign --new-key NAME.pem"
        )
    return _wrap(private)


def sign_bundle(path: Path, key: SigningKey) -> Bundle:
    """Signs a bundle whose every file is as packed, and opens it again; an earlier signature is replaced at once.

    Raises:
        BundleError: The bundle does not open: what was altered is not signed. Or its folder cannot be written.
    """
    manifest = Bundle.open(path).manifest.to_bytes()
    _put(path, key.sign(manifest).to_bytes())
    return Bundle.open(path)


def _wrap(private: Any) -> SigningKey:
    return SigningKey(private.public_key().public_bytes_raw(), private)


def _passphrase(path: Path, content: bytes, ask: Callable[[], str] | None) -> bytes | None:
    if b"ENCRYPTED" not in content:
        return None
    if ask is None:
        raise ConfigError(f"the private key {path} is encrypted", "give its passphrase")
    return ask().encode()


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Writes a file that must not be there yet; whatever fails leaves none behind."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists, and keys are never overwritten", "choose another name") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({error.strerror})", "choose another folder") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            path.chmod(mode)
            stream.write(content)
    except BaseException:
        path.unlink()
        raise


def _put(path: Path, signature: bytes) -> None:
    """Renames the file into the bundle from beside it: who opens the bundle meanwhile finds nothing foreign in it."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.sig.", dir=path.resolve().parent)
    except OSError as error:
        raise BundleError(f"cannot write beside {path} ({error.strerror})", "sign a copy of the bundle") from error
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(signature)
        partial.chmod(_FOR_ALL)
        partial.replace(path / SIGNATURE)
    except OSError as error:
        raise BundleError(f"cannot sign {path} ({error.strerror})", "sign a copy of the bundle") from error
    finally:
        partial.unlink(missing_ok=True)
