"""`edge sign`, and what verify, inspect and run are told of signatures on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from edge.cli import app as edge
from edge.cli import sign as sign_module
from edge.cli.sign import sign
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError, EdgeError, MissingDependencyError
from edge.runtime.signing import generate_key, public_path, sign_bundle

if TYPE_CHECKING:
    from typer.testing import Result

signer = typer.Typer()
signer.command()(sign)


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a key pair, and none that the user trusts."""
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("EDGE_KEY_PASSPHRASE", raising=False)
    folder = tmp_path / "keys"
    folder.mkdir()
    generate_key(folder / "release.pem")
    return folder


def _call(app: typer.Typer, *arguments: object, error: type[EdgeError] | None = None, text: str = "") -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
    if error is None:
        assert done.exit_code == 0, (done.output, done.exception)
    else:
        assert isinstance(done.exception, error), (done.output, done.exception)
    return done


def _words(done: Result) -> str:
    return " ".join(done.stdout.split())


def test_a_bundle_is_signed_and_verified(small_bundle: Path, keys: Path) -> None:
    done = _call(signer, small_bundle, "--key", keys / "release.pem")
    key_id = Bundle.open(small_bundle).signature.key_id
    assert f"Key id: {key_id}" in done.stdout
    trusted = ["--require-signature", "--trusted-key", public_path(keys / "release.pem")]
    told = json.loads(_call(edge, "verify", small_bundle, *trusted, "--json").stdout)
    assert told["signature"] == {"state": "trusted", "key_id": key_id, "key_name": "release"}
    assert "Signature: signed by trusted key release; nothing was altered since." in _words(
        _call(edge, "inspect", small_bundle, *trusted)
    )


def test_each_verb_says_what_a_signature_is_worth(small_bundle: Path, keys: Path) -> None:
    assert "Signature: unsigned; this guards against accident, not against forgery." in _words(
        _call(edge, "verify", small_bundle)
    )
    sign_bundle(small_bundle, generate_key(keys / "other.pem"))
    for verb in ("verify", "inspect"):
        words = _words(_call(edge, verb, small_bundle))
        assert f"signed by unknown key {Bundle.open(small_bundle).signature.key_id}; anyone could" in words


@pytest.mark.parametrize("verb", ["verify", "inspect", "run"])
def test_a_required_signature_is_required_by_each_verb(
    small_bundle: Path, keys: Path, tmp_path: Path, verb: str
) -> None:
    more = ["--source", "sim", "--duration", 1, "--out", tmp_path / "run"] if verb == "run" else []
    required = [verb, small_bundle, *more, "--require-signature", "--trusted-key", public_path(keys / "release.pem")]
    _call(edge, *required, error=BundleError)
    sign_bundle(small_bundle, generate_key(keys / "other.pem"))
    refused = _call(edge, *required, error=BundleError)
    assert "signed by the unknown key" in str(refused.exception)
    assert not (tmp_path / "run").exists()
    _call(edge, *required, "--trusted-key", public_path(keys / "other.pem"))


def test_a_run_says_who_signed(small_bundle: Path, tmp_path: Path) -> None:
    done = _call(edge, "run", small_bundle, "--source", "sim", "--duration", 1, "--out", tmp_path / "run")
    assert done.stdout.startswith("Signature: unsigned; this guards against accident, not against forgery.\n")


def test_a_new_pair(tmp_path: Path, small_bundle: Path) -> None:
    done = _call(signer, "--new-key", tmp_path / "mine.pem")
    assert "Private key, not encrypted" in done.stdout
    assert str(tmp_path / "config" / "trusted_keys") in done.stdout
    _call(signer, "--new-key", tmp_path / "mine.pem", error=ConfigError)
    _call(signer, small_bundle, "--key", tmp_path / "mine.pem")
    (tmp_path / "config" / "trusted_keys").mkdir(parents=True)
    public_path(tmp_path / "mine.pem").rename(tmp_path / "config" / "trusted_keys" / "mine.pub.pem")
    _call(edge, "verify", small_bundle, "--require-signature")


def test_a_passphrase_comes_from_the_environment(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_KEY_PASSPHRASE", "open sesame")
    assert "Private key, encrypted" in _call(signer, "--new-key", tmp_path / "locked.pem").stdout
    _call(signer, small_bundle, "--key", tmp_path / "locked.pem")
    monkeypatch.setenv("EDGE_KEY_PASSPHRASE", "open barley")
    _call(signer, small_bundle, "--key", tmp_path / "locked.pem", error=ConfigError)
    monkeypatch.delenv("EDGE_KEY_PASSPHRASE")
    refused = _call(signer, small_bundle, "--key", tmp_path / "locked.pem", error=ConfigError)
    assert "set EDGE_KEY_PASSPHRASE" in str(refused.exception)


class _Terminal:
    @staticmethod
    def isatty() -> bool:
        return True


def test_a_passphrase_is_asked_for_on_a_terminal(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class System:
        stdin = _Terminal()

    monkeypatch.setattr(sign_module, "sys", System())
    made = _call(signer, "--new-key", tmp_path / "locked.pem", text="open sesame\nopen sesame\n")
    assert "Private key, encrypted" in made.stdout
    assert "open sesame" not in made.output
    _call(signer, small_bundle, "--key", tmp_path / "locked.pem", text="open sesame\n")
    _call(signer, small_bundle, "--key", tmp_path / "locked.pem", text="sesame\n", error=ConfigError)
    assert "Private key, not encrypted" in _call(signer, "--new-key", tmp_path / "open.pem", text="\n\n").stdout


UNCLEAR: list[list[Any]] = [
    [],
    ["BUNDLE"],
    ["--key", "K"],
    ["--key", "K", "--new-key", "N"],
    ["BUNDLE", "--new-key", "N"],
]


@pytest.mark.parametrize("arguments", UNCLEAR, ids=lambda words: " ".join(words) or "nothing")
def test_what_to_sign_must_be_clear(small_bundle: Path, tmp_path: Path, arguments: list[str]) -> None:
    places = {"BUNDLE": small_bundle, "K": tmp_path / "keys" / "release.pem", "N": tmp_path / "n.pem"}
    refused = _call(signer, *(places.get(word, word) for word in arguments), error=ConfigError)
    assert "edge sign BUNDLE --key KEY.pem" in str(refused.exception)
    assert not (tmp_path / "n.pem").exists()
    assert not (small_bundle / "manifest.sig").exists()


def test_without_cryptography_the_extra_is_named(
    small_bundle: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: False)
    refused = _call(signer, small_bundle, "--key", keys / "release.pem", error=MissingDependencyError)
    assert "pip install 'edge-fusion[signing]'" in str(refused.exception)


def test_a_name_that_would_draw_is_shown_as_it_is(small_bundle: Path) -> None:
    from edge.runtime import manifest as manifests

    raw = json.loads((small_bundle / "manifest.json").read_text())
    raw["name"], raw["data"]["description"] = "[/bold]\x1b[31m", "[red]"
    raw["id"] = manifests.digest_of(raw)
    (small_bundle / "manifest.json").write_bytes(manifests.render(raw))
    for verb in ("verify", "inspect"):
        done = _call(edge, verb, small_bundle)
        assert r"[/bold]\x1b[31m" in done.stdout
        assert "\x1b[31m" not in done.stdout


def test_licences_are_shown(small_bundle: Path) -> None:
    words = _words(_call(edge, "inspect", small_bundle, "--licenses"))
    for word in ("Apache-2.0", "numpy", "onnxruntime", "licence as stated"):
        assert word in words
    told = json.loads(_call(edge, "inspect", small_bundle, "--licenses", "--json").stdout)
    assert told["licenses"] == "Apache-2.0"
    assert "numpy" in [entry["package"] for entry in told["packages"]]
