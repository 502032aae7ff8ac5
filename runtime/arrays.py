"""Named arrays in one `.npz` file, read without pickle and without trusting the sizes that it claims."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LIMIT_BYTES = 1 << 30
# What the readers of archives and of array headers raise of damaged ones.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError, RuntimeError),
    *(KeyError, SyntaxError, tokenize.TokenError),
)


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an `.npz` file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, arrays[name], version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def unpack_arrays(content: bytes, limit_bytes: int = LIMIT_BYTES) -> dict[str, NDArray[Any]]:
    """Arrays by name.

    Every header is read, and its claim compared with the size of its member, before anything is allocated.

    Raises:
        DataError: No `.npz` of plain arrays, or more than `limit_bytes` when unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(m.file_size for m in members) > limit_bytes:
                raise DataError(f"the arrays take more than {limit_bytes} bytes when unpacked", "pack them again")
            return {m.filename.removesuffix(".npy"): _read_member(archive, m) for m in members}
    except _DAMAGED as error:
        raise DataError(f"not a file of plain arrays ({error})", "pack them again") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{member.filename} has array format {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize + stream.tell()
        if dtype.hasobject or claimed != member.file_size:
            raise ValueError(f"{member.filename} claims {claimed} bytes and has {member.file_size}")
    with archive.open(member) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
