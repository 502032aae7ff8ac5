"""A bundle: an immutable folder with a model in its dialects and all that is needed to run and check it.

Reading trusts nothing: signature, layout, sizes and digests are checked before content is used; nothing is ever
unpickled. Digests alone guard against accidents and half copies: who can write the folder can forge them. A signature
(`edge.runtime.trust`) cannot be forged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edge.runtime.arrays import unpack_arrays
from edge.runtime.bundle_layout import (
    COPY_AGAIN,
    MANIFEST,
    check_digest,
    check_layout,
    read_listed_file,
    read_manifest_file,
    read_signature_file,
)
from edge.runtime.errors import BundleError, DataError
from edge.runtime.manifest import (
    LIMIT_GOLDEN_BYTES,
    PROGRAM,
    TOKENIZER_FILES,
    Manifest,
    parse_manifest,
    printable,
)
from edge.runtime.model_io import ModelIO, TokensInput
from edge.runtime.rig import Rig
from edge.runtime.states import all_states
from edge.runtime.trust import UNSIGNED, SignatureStatus, TrustPolicy, check_signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACK_AGAIN = "pack the bundle again"
# What PyYAML's constructors raise beside its own errors, on values such as `!!int x` or the 99th of a month.
_YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError)

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """An opened and checked bundle.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
        model_io: Tensors in and out.
        rig: The sensors that the model was made for.
        signature: Whether the manifest is signed, and by whom.
    """

    path: Path
    manifest: Manifest
    model_io: ModelIO
    rig: Rig
    signature: SignatureStatus = UNSIGNED

    @classmethod
    def open(cls, path: Path, trust: TrustPolicy | None = None) -> Bundle:
        """Opens a bundle and checks every file, the signature first.

        Args:
            path: Its folder.
            trust: What is asked of its signature; without it an unsigned bundle opens, and says so.

        Raises:
            BundleError: There is none, its schema is newer, its signature is wrong, or not the one that is required,
                or a file is missing, extra, altered, a link, too large, or contradicts another.
            MissingDependencyError: A signature is required, and cryptography is not installed.
            ConfigError: A file in the user's own folder of trusted keys is no public key.
        """
        content = read_manifest_file(path)
        signature = check_signature(content, read_signature_file(path), path, trust)
        manifest = parse_manifest(content, printable(str(path / MANIFEST)))
        check_layout(path, manifest)
        for name in manifest.files:
            check_digest(path, name, manifest)
        model_io = _parse_yaml(path, "io.yaml", manifest, ModelIO)
        rig = _parse_yaml(path, "rig.yaml", manifest, Rig)
        _check_agreement(path, manifest, model_io, rig)
        return cls(path, manifest, model_io, rig, signature)

    @property
    def id(self) -> str:
        """Digest of the canonical manifest."""
        return self.manifest.id

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialects that have a graph."""
        return self.manifest.dialects

    @property
    def states(self) -> dict[str, float]:
        """Score of each validated modality state."""
        return dict(self.manifest.states)

    def graph(self, dialect: str) -> bytes:
        """The ONNX file of one dialect, its digest checked again.

        Raises:
            BundleError: There is no such dialect, or the file changed since the bundle was opened.
        """
        if dialect not in self.dialects:
            raise BundleError(
                f"bundle {self.path} has no '{dialect}' graph", f"choose one of {', '.join(self.dialects)}"
            )
        return read_listed_file(self.path, f"graph.{dialect}.onnx", self.manifest)

    def program(self) -> bytes | None:
        """The exported torch program (`program.pt2`), its digest checked again; None where the bundle has none.

        Raises:
            BundleError: The file changed since the bundle was opened.
        """
        return read_listed_file(self.path, PROGRAM, self.manifest) if PROGRAM in self.manifest.files else None

    def tokenizers(self) -> dict[str, bytes]:
        """The tokenizer files that `io.yaml` names, by that name, their digests checked again.

        Raises:
            BundleError: One changed since the bundle was opened.
        """
        names = {item.tokenizer for item in self.model_io.inputs if isinstance(item, TokensInput)}
        return {name: read_listed_file(self.path, name, self.manifest) for name in sorted(names)}

    def text(self, name: str) -> str:
        """A text file: `recipe.yaml`, `LICENSES`, `io.yaml` or `rig.yaml`.

        Raises:
            BundleError: There is none, it changed since the bundle was opened, or is no UTF-8.
        """
        try:
            return read_listed_file(self.path, name, self.manifest).decode()
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.path / name} is not UTF-8", COPY_AGAIN) from error

    def golden_inputs(self) -> list[dict[str, NDArray[Any]]]:
        """Example inputs, one dict of batch-1 tensors a case.

        Raises:
            BundleError: The file is no plain array file, or its tensors disagree in their number.
        """
        return _cases(self._arrays("golden/inputs.npz"), self.path)

    def golden_outputs(self, dialect: str) -> list[dict[str, NDArray[Any]]]:
        """What a dialect's graph gave for them when the bundle was packed.

        Raises:
            BundleError: As `golden_inputs`.
        """
        return _cases(self._arrays(f"golden/outputs.{dialect}.npz"), self.path)

    def _arrays(self, name: str) -> dict[str, NDArray[Any]]:
        try:
            return unpack_arrays(read_listed_file(self.path, name, self.manifest), LIMIT_GOLDEN_BYTES)
        except DataError as error:
            raise BundleError(f"{self.path / name}: {error.problem}", COPY_AGAIN) from error


def _parse_yaml(path: Path, name: str, manifest: Manifest, model: type[M]) -> M:
    where = printable(str(path / name))
    text = read_listed_file(path, name, manifest)
    try:
        content = yaml.safe_load(text)
    except _YAML_ERRORS as error:
        raise BundleError(f"{where} is not YAML ({printable(str(error)[:80])})", PACK_AGAIN) from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = printable(".".join(str(part) for part in first["loc"])[:80]) or name
        raise BundleError(f"{where}: {key}: {first['msg']}", PACK_AGAIN) from error


def _check_agreement(path: Path, manifest: Manifest, model_io: ModelIO, rig: Rig) -> None:
    known = all_states(model_io.modalities)
    for state in manifest.states:
        if state not in known:
            raise BundleError(f"{path}: '{state}' is no state of {', '.join(model_io.modalities)}", PACK_AGAIN)
    for stream in model_io.modalities:
        if stream not in rig.streams:
            raise BundleError(f"{path}: io.yaml needs stream '{stream}', rig.yaml lacks it", PACK_AGAIN)
    for item in model_io.inputs:
        held = {*TOKENIZER_FILES} & manifest.files.keys()
        if isinstance(item, TokensInput) and item.tokenizer not in held:
            name = printable(item.tokenizer[:80])
            raise BundleError(f"{path}: io.yaml needs the tokenizer '{name}', which the bundle lacks", PACK_AGAIN)


def _cases(stacked: dict[str, NDArray[Any]], path: Path) -> list[dict[str, NDArray[Any]]]:
    counts = {len(array) if array.ndim else 0 for array in stacked.values()}
    if len(counts) != 1 or counts == {0}:
        raise BundleError(f"{path}: the golden tensors hold {sorted(counts)} cases", PACK_AGAIN)
    return [{name: array[i : i + 1] for name, array in stacked.items()} for i in range(counts.pop())]
