"""A bundle: an immutable folder with a model in its dialects and all that is needed to run and check it.

Reading trusts nothing: layout, sizes and digests are checked before content is used; nothing is ever unpickled.
Digests guard against accidents and half copies. They are no signature: who can write the folder can forge them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edge.runtime.arrays import unpack_arrays
from edge.runtime.errors import BundleError, DataError
from edge.runtime.manifest import LIMIT_GOLDEN_BYTES, LIMIT_MANIFEST_BYTES, Manifest, parse_manifest, size_limit
from edge.runtime.model_io import ModelIO
from edge.runtime.rig import Rig
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20
_MOST_ENTRIES = 64
_COPY_AGAIN = "copy or pack the bundle again"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """An opened and checked bundle.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
        model_io: Tensors in and out.
        rig: The sensors that the model was made for.
    """

    path: Path
    manifest: Manifest
    model_io: ModelIO
    rig: Rig

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Opens a bundle and checks every file.

        Raises:
            BundleError: There is none, its schema is newer, or a file is missing, extra, altered, a link, too
                large, or contradicts another.
        """
        manifest = _read_manifest(path)
        _check_layout(path, manifest)
        for name in manifest.files:
            _check_digest(path, name, manifest)
        model_io = _parse_yaml(path, "io.yaml", manifest, ModelIO)
        rig = _parse_yaml(path, "rig.yaml", manifest, Rig)
        _check_agreement(path, manifest, model_io, rig)
        return cls(path, manifest, model_io, rig)

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
        return read_file(self.path, f"graph.{dialect}.onnx", self.manifest)

    def text(self, name: str) -> str:
        """A text file: `recipe.yaml`, `LICENSES`, `io.yaml` or `rig.yaml`.

        Raises:
            BundleError: It changed since the bundle was opened, or is no UTF-8.
        """
        try:
            return read_file(self.path, name, self.manifest).decode()
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.path / name} is not UTF-8", _COPY_AGAIN) from error

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
            return unpack_arrays(read_file(self.path, name, self.manifest), LIMIT_GOLDEN_BYTES)
        except DataError as error:
            raise BundleError(f"{self.path / name}: {error.problem}", _COPY_AGAIN) from error


def read_file(path: Path, name: str, manifest: Manifest) -> bytes:
    """One file of a bundle, whole, with size and digest checked on what was read.

    Raises:
        BundleError: It does not match the manifest.
    """
    entry = manifest.files[name]
    with (path / name).open("rb") as stream:
        content = stream.read(entry.bytes + 1)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleError(f"{path / name} was altered after packing", _COPY_AGAIN)
    return content


def _read_manifest(path: Path) -> Manifest:
    where = path / MANIFEST
    if not path.is_dir():
        raise BundleError(f"there is no bundle folder {path}", "pass the folder that `edge compress` wrote")
    try:
        info = where.lstat()
    except OSError as error:
        raise BundleError(f"{path} has no {MANIFEST}", "pass the folder of a bundle") from error
    if not stat.S_ISREG(info.st_mode):
        raise BundleError(f"{where} is no regular file", "replace links by what they point to")
    if info.st_size > LIMIT_MANIFEST_BYTES:
        raise BundleError(f"{where} has {info.st_size} bytes, more than {LIMIT_MANIFEST_BYTES}", _COPY_AGAIN)
    return parse_manifest(where.read_bytes(), str(where))


def _check_layout(path: Path, manifest: Manifest) -> None:
    """Compares what is in the folder with what the manifest lists, before any of it is read."""
    sizes = dict(_walk(path))
    for name in sizes.keys() - manifest.files.keys() - {MANIFEST}:
        raise BundleError(f"{path / name} does not belong to the bundle", "remove it, bundles are immutable")
    for name in manifest.files.keys() - sizes.keys():
        raise BundleError(f"{path / name} is missing", _COPY_AGAIN)
    for name, entry in manifest.files.items():
        if sizes[name] != entry.bytes:
            raise BundleError(f"{path / name} has {sizes[name]} bytes, packed were {entry.bytes}", _COPY_AGAIN)


def _walk(path: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Regular files below `path` with their sizes; a bundle has folders one level deep."""
    with os.scandir(path) as entries:
        for count, entry in enumerate(entries):
            name = prefix + entry.name
            if entry.is_symlink() or count > _MOST_ENTRIES:
                what = "is a link" if entry.is_symlink() else "is one file too many"
                raise BundleError(f"{entry.path} {what}", "a bundle holds only its own regular files")
            if entry.is_dir(follow_symlinks=False) and not prefix:
                yield from _walk(Path(entry.path), f"{name}/")
            elif entry.is_file(follow_symlinks=False) and (name == MANIFEST or size_limit(name) is not None):
                yield name, entry.stat(follow_symlinks=False).st_size
            else:
                raise BundleError(f"{entry.path} does not belong to the bundle", "remove it")


def _check_digest(path: Path, name: str, manifest: Manifest) -> None:
    digest = hashlib.sha256()
    with (path / name).open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != manifest.files[name].sha256:
        raise BundleError(f"{path / name} was altered after packing", _COPY_AGAIN)


def _parse_yaml(path: Path, name: str, manifest: Manifest, model: type[M]) -> M:
    try:
        return model.model_validate(yaml.safe_load(read_file(path, name, manifest)))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path / name} is not YAML ({str(error)[:80]})", "pack the bundle again") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or name
        raise BundleError(f"{path / name}: {key}: {first['msg']}", "pack the bundle again") from error


def _check_agreement(path: Path, manifest: Manifest, model_io: ModelIO, rig: Rig) -> None:
    known = all_states(model_io.modalities)
    for state in manifest.states:
        if state not in known:
            raise BundleError(
                f"{path}: '{state}' is no state of {', '.join(model_io.modalities)}", "pack the bundle again"
            )
    for stream in model_io.modalities:
        if stream not in rig.streams:
            raise BundleError(f"{path}: io.yaml needs stream '{stream}', rig.yaml lacks it", "pack the bundle again")


def _cases(stacked: dict[str, NDArray[Any]], path: Path) -> list[dict[str, NDArray[Any]]]:
    counts = {len(array) if array.ndim else 0 for array in stacked.values()}
    if len(counts) != 1 or counts == {0}:
        raise BundleError(f"{path}: the golden tensors hold {sorted(counts)} cases", "pack the bundle again")
    return [{name: array[i : i + 1] for name, array in stacked.items()} for i in range(counts.pop())]
