"""Signatures: their one form, their domain, whose key counts, and what is said where they cannot be checked."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.runtime import signature as signatures
from edge.runtime import trust
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError, MissingDependencyError
from edge.runtime.signature import Signature, parse_signature
from edge.runtime.signing import SigningKey, generate_key, load_signing_key, public_path, sign_bundle
from edge.runtime.trust import (
    UNSIGNED,
    SignatureStatus,
    TrustedKeys,
    TrustPolicy,
    read_public_key,
    trusted_folder,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# The example key of RFC 8410, section 10, and what `openssl pkeyutl -sign -rawin` (3.0.19) makes with it of the domain
# followed by the bytes `{}` and a line end.
PRIVATE = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""
PUBLIC = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
RAW = bytes.fromhex("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")
KEY_ID = "e744c0791320c3285460eddb523f14c88d857ada46b97a5690d88cf978b9191f"
SIGNED = "c+L2XMaogDWq42qFRbn/kNZWNMEDC6zYGaig2ZZBe3e3PbQQxRRptT2yMHZR8wIhqlgTuLirSDMPUczS1djXAw=="
MANIFEST = b"{}\n"
KNOWN = TrustedKeys({KEY_ID: "rfc"})


@pytest.fixture
def rfc_key(tmp_path: Path) -> SigningKey:
    (tmp_path / "rfc.pem").write_text(PRIVATE)
    return load_signing_key(tmp_path / "rfc.pem")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the user's keys, empty so far."""
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))
    folder = trusted_folder()
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def signed_bundle(small_bundle: Path, rfc_key: SigningKey) -> Path:
    return sign_bundle(small_bundle, rfc_key).path


def test_a_signature_is_what_another_implementation_makes(rfc_key: SigningKey) -> None:
    made = rfc_key.sign(MANIFEST)
    assert made.public_key == rfc_key.public_key == RAW
    assert made.key_id == rfc_key.key_id == KEY_ID
    assert base64.b64encode(made.value).decode() == SIGNED
    assert made.matches(MANIFEST)
    assert not made.matches(MANIFEST + b"\n")


def test_the_file_is_written_and_read(rfc_key: SigningKey) -> None:
    made = rfc_key.sign(MANIFEST)
    content = made.to_bytes()
    assert json.loads(content) == {
        "schema": 1,
        "algorithm": "ed25519",
        "key_id": KEY_ID,
        "public_key": base64.b64encode(RAW).decode(),
        "signature": SIGNED,
    }
    assert parse_signature(content, "x") == made


def test_a_signature_of_the_bare_bytes_says_nothing(rfc_key: SigningKey) -> None:
    """A key that signs something else, even these very bytes, has not signed a bundle."""
    bare = Signature(RAW, rfc_key._private.sign(MANIFEST))
    assert not bare.matches(MANIFEST)
    with pytest.raises(BundleError, match="does not match"):
        verify_signature(MANIFEST, bare.to_bytes(), KNOWN, "bundle")


FORMS: dict[str, Callable[[str], str | bytes]] = {
    "one line": lambda t: json.dumps(json.loads(t)),
    "no line end": lambda t: t[:-1],
    "another line end": lambda t: t + "\n",
    "another order": lambda t: json.dumps(dict(reversed(json.loads(t).items())), indent=1) + "\n",
    "a key twice": lambda t: t.replace('"schema": 1', '"schema": 1,\n "schema": 1'),
    "one key more": lambda t: t.replace('"schema": 1', '"comment": "",\n "schema": 1'),
    "one key less": lambda t: t.replace(' "algorithm": "ed25519",\n', ""),
    "another algorithm": lambda t: t.replace("ed25519", "ed448"),
    "no algorithm": lambda t: t.replace("ed25519", "none"),
    "schema as text": lambda t: t.replace('"schema": 1', '"schema": "1"'),
    "schema true": lambda t: t.replace('"schema": 1', '"schema": true'),
    "schema 0": lambda t: t.replace('"schema": 1', '"schema": 0'),
    "id of another key": lambda t: t.replace(KEY_ID, "0" * 64),
    "id in capitals": lambda t: t.replace(KEY_ID, KEY_ID.upper()),
    "loose bits in base64": lambda t: t.replace("1djXAw==", "1djXAx=="),
    "no padding in base64": lambda t: t.replace("1djXAw==", "1djXAw"),
    "URL-safe base64": lambda t: t.replace("c+L2", "c-L2"),
    "a blank in base64": lambda t: t.replace("c+L2", "c+ L2"),
    "a short signature": lambda t: t.replace(SIGNED, "AAAA"),
    "a short key": lambda t: t.replace(base64.b64encode(RAW).decode(), "AAAA"),
    "a number for a signature": lambda t: t.replace(f'"{SIGNED}"', "7"),
    "null for a signature": lambda t: t.replace(f'"{SIGNED}"', "null"),
    "no ASCII": lambda t: t.replace(SIGNED, "é" * 88),
    "half a surrogate": lambda t: t.replace(SIGNED, "\\ud800"),
    "a list": lambda t: "[]",
    "a number": lambda t: "1",
    "nothing": lambda t: "",
    "zeros": lambda t: bytes(300),
    "nested": lambda t: "[" * 1000,
    "UTF-16": lambda t: t.encode("utf-16"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_has_one_form(rfc_key: SigningKey, form: str) -> None:
    content = rfc_key.sign(MANIFEST).to_bytes().decode()
    other = FORMS[form](content)
    assert other != content
    with pytest.raises(BundleError, match="malformed or was altered"):
        verify_signature(MANIFEST, other.encode() if isinstance(other, str) else other, KNOWN, "bundle")


def test_a_newer_form_asks_for_a_newer_edge(rfc_key: SigningKey) -> None:
    content = rfc_key.sign(MANIFEST).to_bytes().replace(b'"schema": 1', b'"schema": 2')
    with pytest.raises(BundleError, match="has schema 2, this edge reads 1; upgrade"):
        parse_signature(content, "manifest.sig")


PRIME = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME


def _eightfold_is_neutral(y: int) -> bool:
    """Whether 8 times the point is the neutral one, by the doubling formula for y alone (RFC 8032, section 5.1)."""
    for _ in range(3):
        x2 = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME) % PRIME
        y = (y * y + x2) * pow(1 - CURVE_D * x2 * y * y, -1, PRIME) % PRIME
    return y == 1


def test_weak_keys_are_the_points_of_small_order() -> None:
    weak = [y for y in signatures._Y_OF_SMALL_ORDER if _eightfold_is_neutral(y)]
    assert len(weak) == len(signatures._Y_OF_SMALL_ORDER) == 5
    for y in (*weak, PRIME, PRIME + 1):
        for sign in (0, 1 << 255):
            assert signatures.is_weak((y | sign).to_bytes(32, "little"))
    assert not signatures.is_weak(RAW)
    assert not _eightfold_is_neutral(int.from_bytes(RAW, "little") & (1 << 255) - 1)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32], ids=["zero", "one", "ones"])
def test_keys_that_anyone_can_sign_under_sign_nothing(key: bytes) -> None:
    """A file of zeros is a key of order 4: OpenSSL finds zeros to be its signature of every fourth message or so."""
    forged = [Signature(key, value) for value in (bytes(64), b"\x01" + bytes(63))]
    assert not any(one.matches(str(i).encode()) for one in forged for i in range(32))


def test_a_weak_key_cannot_be_trusted(config: Path) -> None:
    der = bytes.fromhex("302a300506032b6570032100") + bytes(32)
    pem = PUBLIC.splitlines()
    (config / "zeros.pem").write_text("\n".join([pem[0], base64.b64encode(der).decode(), pem[2], ""]))
    with pytest.raises(ConfigError, match="a key that anyone can sign under"):
        TrustedKeys.load()


def test_who_signed_is_told(rfc_key: SigningKey) -> None:
    content = rfc_key.sign(MANIFEST).to_bytes()
    known = verify_signature(MANIFEST, content, KNOWN, "bundle")
    assert known == SignatureStatus("trusted", KEY_ID, "rfc")
    assert (str(known), known.is_trusted) == ("signed by trusted key rfc", True)
    unknown = verify_signature(MANIFEST, content, TrustedKeys(), "bundle")
    assert (str(unknown), unknown.is_trusted) == (f"signed by unknown key {KEY_ID}", False)
    assert (str(UNSIGNED), UNSIGNED.is_trusted) == ("unsigned", False)


def test_without_a_policy_the_users_own_keys_count(signed_bundle: Path, small_bundle: Path, config: Path) -> None:
    assert Bundle.open(signed_bundle).signature.state == "unknown_key"
    (config / "rfc.pub.pem").write_text(PUBLIC)
    assert str(Bundle.open(signed_bundle).signature) == "signed by trusted key rfc"
    Bundle.open(signed_bundle, TrustPolicy.of_user(require_signature=True))
    (small_bundle / "manifest.sig").unlink()
    assert Bundle.open(small_bundle).signature is UNSIGNED


def test_a_key_is_called_as_its_file(config: Path, tmp_path: Path) -> None:
    (config / "release.pub.pem").write_text(PUBLIC)
    (config / "readme.txt").write_text("no key")
    assert TrustedKeys.load().names == {KEY_ID: "release"}
    (tmp_path / "given.pem").write_text(PUBLIC)
    assert TrustedKeys.load([tmp_path / "given.pem"]).names == {KEY_ID: "given"}


def test_without_a_variable_keys_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert trusted_folder() == tmp_path / ".config" / "edge" / "trusted_keys"
    assert TrustedKeys.load() == TrustedKeys()


def test_a_public_key_is_read_as_the_library_writes_it(tmp_path: Path) -> None:
    key = generate_key(tmp_path / "new.pem")
    assert read_public_key(public_path(tmp_path / "new.pem")) == key.public_key
    (tmp_path / "windows.pem").write_bytes(PUBLIC.replace("\n", "\r\n").encode())
    assert read_public_key(tmp_path / "windows.pem") == RAW


BAD_KEYS: dict[str, tuple[str, str]] = {
    "a private key": (PRIVATE, "is a private key; pass the public one"),
    "two keys": (PUBLIC * 2, "holds no Ed25519 public key"),
    "half a key": (PUBLIC[:60], "holds no Ed25519 public key"),
    "no foot": (PUBLIC.splitlines()[0] + PUBLIC.splitlines()[1], "holds no Ed25519 public key"),
    "an X25519 key": (PUBLIC.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu"), "holds no Ed25519 public key"),
    "no base64": (PUBLIC.replace("GURE", "?").replace("MC", "??"), "holds no Ed25519 public key"),
    "nothing": ("", "holds no Ed25519 public key"),
    "a letter": ("é", "cannot read a public key"),
    "a megabyte": ("x" * (1 << 20), "holds no Ed25519 public key"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_file_that_is_no_public_key_is_refused(config: Path, case: str) -> None:
    content, message = BAD_KEYS[case]
    (config / "bad.pem").write_text(content)
    with pytest.raises(ConfigError, match=message):
        TrustedKeys.load()


def test_a_trusted_key_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read a public key from .*gone\.pem"):
        TrustedKeys.load([tmp_path / "gone.pem"])


def test_what_cannot_be_checked_is_said(signed_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "has_module", lambda name: False)
    status = Bundle.open(signed_bundle, TrustPolicy(trusted=KNOWN)).signature
    assert (str(status), status.key_id) == ("not checked: cryptography is not installed", KEY_ID)
    assert not status.is_trusted
    (signed_bundle / "manifest.sig").write_bytes((signed_bundle / "manifest.sig").read_bytes() + b"\n")
    with pytest.raises(BundleError, match="malformed"):
        Bundle.open(signed_bundle)


def test_a_required_signature_cannot_go_unchecked(signed_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("capabilities", "trust"):
        monkeypatch.setattr(f"edge.runtime.{place}.has_module", lambda name: False)
    with pytest.raises(MissingDependencyError, match=r"edge-fusion\[signing\]"):
        Bundle.open(signed_bundle, TrustPolicy(require_signature=True, trusted=KNOWN))


def test_the_domain_is_part_of_the_contract() -> None:
    assert signatures.signed_message(MANIFEST) == b"edge-bundle-manifest-v1\0{}\n"
