"""Keys and signing: private files, nothing overwritten, nothing signed that was altered."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.capabilities import require_module
from edge.runtime.errors import BundleError, ConfigError
from edge.runtime.signing import SigningKey, generate_key, load_signing_key, public_path, sign_bundle
from edge.runtime.trust import TrustedKeys, TrustPolicy


@pytest.fixture(autouse=True)
def no_keys_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return generate_key(tmp_path / "key.pem")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_a_private_key_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = generate_key(tmp_path / "release.pem")
    finally:
        os.umask(before)
    assert (_mode(tmp_path / "release.pem"), _mode(tmp_path / "release.pub.pem")) == (0o600, 0o644)
    assert load_signing_key(tmp_path / "release.pem") == made
    assert "PRIVATE" not in (tmp_path / "release.pub.pem").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release.pem", "release.pub.pem"]


def test_two_keys_differ(tmp_path: Path) -> None:
    assert generate_key(tmp_path / "a.pem").key_id != generate_key(tmp_path / "b.pem").key_id


def test_nothing_shows_the_private_key(key: SigningKey) -> None:
    secret = key._private.private_bytes_raw()
    assert secret.hex() not in repr(key)
    assert repr(secret) not in repr(key)


@pytest.mark.parametrize("there", ["release.pem", "release.pub.pem"])
def test_keys_are_never_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(ConfigError, match="exists, and keys are never overwritten"):
        generate_key(tmp_path / "release.pem")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "release.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="never overwritten"):
        generate_key(tmp_path / "release.pem")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["release", "release.key", "release.pub.pem", ".pem"])
def test_names_say_what_a_file_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"name it NAME\.pem"):
        generate_key(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        generate_key(tmp_path / "nowhere" / "release.pem")


def test_a_passphrase_locks_the_key(tmp_path: Path) -> None:
    path = tmp_path / "locked.pem"
    made = generate_key(path, "äpfel und birnen")
    assert "ENCRYPTED PRIVATE KEY" in path.read_text()
    assert load_signing_key(path, lambda: "äpfel und birnen") == made
    with pytest.raises(ConfigError, match="is encrypted"):
        load_signing_key(path)
    for wrong in ("apfel", ""):
        with pytest.raises(ConfigError, match="the passphrase is wrong"):
            load_signing_key(path, lambda wrong=wrong: wrong)  # type: ignore[misc]


def test_an_open_key_asks_for_no_passphrase(tmp_path: Path, key: SigningKey) -> None:
    def never() -> str:
        raise AssertionError

    assert load_signing_key(tmp_path / "key.pem", never) == key


def test_openssl_reads_the_keys(tmp_path: Path, key: SigningKey) -> None:
    try:
        done = subprocess.run(
            ["openssl", "pkey", "-in", str(tmp_path / "key.pem"), "-pubout"], capture_output=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.stdout == public_path(tmp_path / "key.pem").read_bytes()


def _foreign_key() -> bytes:
    forms = require_module("cryptography.hazmat.primitives.serialization")
    made: Any = require_module("cryptography.hazmat.primitives.asymmetric.x25519").X25519PrivateKey.generate()
    return bytes(made.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()))


def test_files_that_are_no_private_key(tmp_path: Path, key: SigningKey) -> None:
    cases = {
        b"": "does not open as a private key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "does not open as a private key",
        public_path(tmp_path / "key.pem").read_bytes(): "does not open as a private key",
        _foreign_key(): "another kind than Ed25519",
    }
    for content, message in cases.items():
        (tmp_path / "bad.pem").write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            load_signing_key(tmp_path / "bad.pem")
    with pytest.raises(ConfigError, match="cannot read the private key"):
        load_signing_key(tmp_path / "gone.pem")


def test_signing_adds_one_file_and_changes_none(small_bundle: Path, key: SigningKey) -> None:
    before = {path: path.read_bytes() for path in small_bundle.rglob("*") if path.is_file()}
    unsigned_id = Bundle.open(small_bundle).id
    signed = sign_bundle(small_bundle, key)
    assert signed.id == unsigned_id
    assert signed.signature.key_id == key.key_id
    after = {path: path.read_bytes() for path in small_bundle.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {small_bundle / "manifest.sig"}
    assert {path: after[path] for path in before} == before
    assert _mode(small_bundle / "manifest.sig") == 0o644
    assert sorted(path.name for path in small_bundle.parent.iterdir()) == ["bundle", "key.pem", "key.pub.pem"]


def test_the_same_key_signs_the_same(small_bundle: Path, key: SigningKey) -> None:
    sign_bundle(small_bundle, key)
    first = (small_bundle / "manifest.sig").read_bytes()
    sign_bundle(small_bundle, key)
    assert (small_bundle / "manifest.sig").read_bytes() == first


def test_signing_again_replaces_the_signature(small_bundle: Path, key: SigningKey, tmp_path: Path) -> None:
    sign_bundle(small_bundle, key)
    other = generate_key(tmp_path / "other.pem")
    sign_bundle(small_bundle, other)
    trusted = TrustPolicy(require_signature=True, trusted=TrustedKeys({other.key_id: "other"}))
    assert str(Bundle.open(small_bundle, trusted).signature) == "signed by trusted key other"


def test_an_altered_bundle_is_not_signed(small_bundle: Path, key: SigningKey) -> None:
    (small_bundle / "LICENSES").write_text("MIT")
    with pytest.raises(BundleError, match="LICENSES"):
        sign_bundle(small_bundle, key)
    assert not (small_bundle / "manifest.sig").exists()


def test_a_signature_that_cannot_be_put_leaves_nothing(
    small_bundle: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BundleError, match=r"cannot sign .* \(Permission denied\); sign a copy"):
        sign_bundle(small_bundle, key)
    assert sorted(path.name for path in small_bundle.parent.iterdir()) == ["bundle", "key.pem", "key.pub.pem"]
    assert Bundle.open(small_bundle).signature.state == "unsigned"
