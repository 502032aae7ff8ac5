"""`edge sign`: make a key pair, or sign a bundle with a private key."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

PASSPHRASE_VARIABLE = "EDGE_KEY_PASSPHRASE"


def sign(
    bundle: Annotated[Path | None, typer.Argument(help="Folder of the bundle.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private key (PEM, Ed25519) to sign with.")] = None,
    new_key: Annotated[
        Path | None, typer.Option("--new-key", help="Make a key pair instead: NAME.pem and NAME.pub.pem.")
    ] = None,
) -> None:
    """Sign a bundle's manifest, and with it every file; or make the key pair for that.

    A passphrase comes from EDGE_KEY_PASSPHRASE, or is asked for on a terminal.

    Example: edge sign --new-key release.pem && edge sign runs/demo/bundle --key release.pem
    """
    from edge.runtime.errors import ConfigError

    if new_key is not None and bundle is None and key is None:
        _make_pair(new_key)
    elif new_key is None and bundle is not None and key is not None:
        _sign(bundle, key)
    else:
        raise ConfigError(
            "it is not clear what to sign", "write: edge sign BUNDLE --key KEY.pem, or: edge sign --new-key NAME.pem"
        )


def _make_pair(path: Path) -> None:
    from edge.runtime.signing import generate_key, public_path
    from edge.runtime.trust import trusted_folder

    passphrase = os.environ.get(PASSPHRASE_VARIABLE, "")
    if not passphrase and sys.stdin.isatty():
        passphrase = typer.prompt(
            "Passphrase, empty for none", default="", hide_input=True, show_default=False, confirmation_prompt=True
        )
    key = generate_key(path, passphrase or None)
    how = "encrypted" if passphrase else "not encrypted"
    typer.echo(f"Private key, {how}: {path}. Who has it can sign; keep it off the board.")
    typer.echo(f"Public key: {public_path(path)}. Copy it to {trusted_folder()} wherever bundles are to be checked.")
    typer.echo(f"Key id: {key.key_id}")


def _sign(bundle: Path, key: Path) -> None:
    from edge.runtime.bundle_layout import SIGNATURE
    from edge.runtime.signing import load_signing_key, sign_bundle

    signer = load_signing_key(key, lambda: _ask_passphrase(key))
    sign_bundle(bundle, signer)
    typer.echo(f"Signed: {bundle / SIGNATURE}")
    typer.echo(f"Key id: {signer.key_id}")


def _ask_passphrase(key: Path) -> str:
    from edge.runtime.errors import ConfigError

    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None and not sys.stdin.isatty():
        raise ConfigError(f"the private key {key} is encrypted", f"set {PASSPHRASE_VARIABLE}")
    return typer.prompt(f"Passphrase of {key}", hide_input=True) if given is None else given
