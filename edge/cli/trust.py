"""What verbs that open a bundle are told of signatures: which keys count, and whether one of them must have signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.runtime.bundle import Bundle
    from edge.runtime.trust import SignatureStatus

RequireSignature = Annotated[
    bool, typer.Option("--require-signature", help="Refuse a bundle that no trusted key has signed.")
]
TrustedKeyFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--trusted-key", help="Public key (PEM) that counts, beside those in ~/.config/edge/trusted_keys; repeatable."
    ),
]

# What the state of a signature means for who reads it.
_MEANING = {
    "unsigned": "this guards against accident, not against forgery",
    "unknown_key": "anyone could have made that key; if you know whose it is, pass it with --trusted-key",
    "trusted": "nothing was altered since",
    "not_checked": "install it with: pip install 'edge-fusion[signing]'",
}


def open_trusted(bundle: Path, require_signature: bool, trusted_keys: list[Path] | None) -> Bundle:
    """Opens a bundle under what the command line asks of its signature.

    Raises:
        BundleError: The bundle, or its signature, is refused.
        ConfigError: A trusted key cannot be read.
        MissingDependencyError: A signature is required, and cryptography is not installed.
    """
    from edge.runtime.bundle import Bundle
    from edge.runtime.trust import TrustPolicy

    return Bundle.open(bundle, TrustPolicy.of_user(trusted_keys or (), require_signature=require_signature))


def signature_line(status: SignatureStatus) -> str:
    """The state of a signature and what it means, in one line."""
    return f"Signature: {status}; {_MEANING[status.state]}."
