"""What lies in a bundle's folder: names, kinds and sizes are compared with the manifest before any of it is read."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.runtime.errors import BundleError
from edge.runtime.manifest import LIMIT_MANIFEST_BYTES, printable, size_limit
from edge.runtime.signature import LIMIT_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from edge.runtime.manifest import Manifest

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
UNLISTED = frozenset({MANIFEST, SIGNATURE})  # the manifest cannot hold its own digest, nor that of what signs it
GOLDEN_FOLDER = "golden"
COPY_AGAIN = "copy or pack the bundle again"

_CHUNK_BYTES = 1 << 20
_MOST_ENTRIES = 64
# No link is followed, and a pipe in a file's place is seen before it blocks.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_manifest_file(path: Path) -> bytes:
    """The bytes of `manifest.json`.

    Raises:
        BundleError: There is no folder, no manifest, or what has its name is a link or too large.
    """
    if not path.is_dir():
        raise BundleError(
            f"there is no bundle folder {printable(str(path))}", "pass the folder that `edge compress` wrote"
        )
    if not os.path.lexists(path / MANIFEST):
        raise BundleError(f"{printable(str(path))} has no {MANIFEST}", "pass the folder of a bundle")
    return _read_whole(path / MANIFEST, LIMIT_MANIFEST_BYTES)


def read_signature_file(path: Path) -> bytes | None:
    """The bytes of `manifest.sig`; None where the bundle is unsigned.

    Raises:
        BundleError: What has its name is a link or too large.
    """
    return _read_whole(path / SIGNATURE, LIMIT_SIGNATURE_BYTES) if os.path.lexists(path / SIGNATURE) else None


def read_listed_file(path: Path, name: str, manifest: Manifest) -> bytes:
    """One file of a bundle, whole, with size and digest checked on what was read.

    Raises:
        BundleError: The manifest does not list it, or it does not match.
    """
    if name not in manifest.files:
        raise BundleError(
            f"bundle {printable(str(path))} holds no {printable(name)}", "see what it holds: edge inspect"
        )
    entry = manifest.files[name]
    with _open_regular(path / name) as stream:
        content = stream.read(entry.bytes + 1)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise _altered(path / name)
    return content


def check_layout(path: Path, manifest: Manifest) -> None:
    """Compares what is in the folder with what the manifest lists, before any of it is read.

    Raises:
        BundleError: A file is missing, one too many, a link, no file, or of another size.
    """
    try:
        sizes = dict(_walk(path))
    except OSError as error:
        raise BundleError(f"{printable(str(path))} cannot be listed ({error.strerror})", COPY_AGAIN) from error
    for name in sizes.keys() - manifest.files.keys() - UNLISTED:
        raise _foreign(path / name)
    for name in manifest.files.keys() - sizes.keys():
        raise BundleError(f"{printable(str(path / name))} is missing", COPY_AGAIN)
    for name, entry in manifest.files.items():
        if sizes[name] != entry.bytes:
            where = printable(str(path / name))
            raise BundleError(f"{where} has {sizes[name]} bytes, packed were {entry.bytes}", COPY_AGAIN)


def check_digest(path: Path, name: str, manifest: Manifest) -> None:
    """Compares a file with its SHA-256 in the manifest, a piece at a time.

    Raises:
        BundleError: They differ.
    """
    digest = hashlib.sha256()
    with _open_regular(path / name) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != manifest.files[name].sha256:
        raise _altered(path / name)


def _walk(path: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Regular files below `path` with their sizes; the only folder of a bundle is that of the goldens."""
    with os.scandir(path) as entries:
        for count, entry in enumerate(entries):
            name = prefix + entry.name
            if entry.is_symlink() or count > _MOST_ENTRIES:
                what = "is a link" if entry.is_symlink() else "is one file too many"
                raise BundleError(f"{printable(entry.path)} {what}", "a bundle holds only its own regular files")
            if entry.is_dir(follow_symlinks=False) and name == GOLDEN_FOLDER:
                yield from _walk(Path(entry.path), f"{name}/")
            elif entry.is_file(follow_symlinks=False) and (name in UNLISTED or size_limit(name) is not None):
                yield name, entry.stat(follow_symlinks=False).st_size
            else:
                raise _foreign(Path(entry.path))


@contextmanager
def _open_regular(where: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(where, _OPEN_FLAGS)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _irregular(where)
        with os.fdopen(descriptor, "rb") as stream:
            yield stream
    except OSError as error:
        if where.is_symlink():
            raise _irregular(where) from error
        raise BundleError(f"{printable(str(where))} cannot be read ({error.strerror})", COPY_AGAIN) from error


def _read_whole(where: Path, limit: int) -> bytes:
    with _open_regular(where) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise BundleError(f"{printable(str(where))} has more than {limit} bytes", COPY_AGAIN)
    return content


def _irregular(where: Path) -> BundleError:
    return BundleError(f"{printable(str(where))} is no regular file", "replace links by what they point to")


def _altered(where: Path) -> BundleError:
    return BundleError(f"{printable(str(where))} was altered after packing", COPY_AGAIN)


def _foreign(where: Path) -> BundleError:
    return BundleError(f"{printable(str(where))} does not belong to the bundle", "remove it, bundles are immutable")
