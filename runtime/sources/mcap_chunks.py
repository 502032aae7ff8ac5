"""The inside of an MCAP chunk: unpacked within bounds, checked, and cut into records."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from edge.runtime.capabilities import require_module
from edge.runtime.errors import SourceError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGAIN = "copy it again, or repair it with: mcap recover FILE -o REPAIRED"
MAX_CHUNK_BYTES = 512 * 2**20  # unpacked
RECORD, CHUNK = struct.Struct("<BQ"), struct.Struct("<QQQI")
_NAME_LENGTH, _CONTENT_LENGTH = struct.Struct("<I"), struct.Struct("<Q")


def broken(path: Path, what: str) -> SourceError:
    """The error of a file that is not what it says."""
    return SourceError(f"{path} is truncated or broken: {what}", AGAIN)


def chunk_records(path: Path, content: memoryview, offset: int) -> Iterator[tuple[int, memoryview]]:
    """Opcode and content of each record in a chunk.

    Args:
        path: The file, for messages.
        content: Of the chunk's record.
        offset: Where that lies in the file.

    Raises:
        SourceError: A length leads out of the chunk, it does not unpack to what it declares, or its checksum differs.
    """
    if len(content) < CHUNK.size + _NAME_LENGTH.size + _CONTENT_LENGTH.size:
        raise broken(path, f"the chunk at byte {offset} has {len(content)} bytes")
    _, _, size, checksum = CHUNK.unpack_from(content)
    (name_length,) = _NAME_LENGTH.unpack_from(content, CHUNK.size)
    name_end = CHUNK.size + _NAME_LENGTH.size + name_length
    packed = content[name_end + _CONTENT_LENGTH.size :]
    if name_end > len(content) - _CONTENT_LENGTH.size or _CONTENT_LENGTH.unpack_from(content, name_end)[0] != len(
        packed
    ):
        raise broken(path, f"the chunk at byte {offset} has another length than it says")
    raw = _unpacked(path, bytes(content[CHUNK.size + _NAME_LENGTH.size : name_end]), packed, size, offset)
    if checksum and zlib.crc32(raw) != checksum:
        raise broken(path, f"the chunk at byte {offset} does not match its checksum")
    return _records(path, raw, offset)


def _records(path: Path, raw: memoryview, offset: int) -> Iterator[tuple[int, memoryview]]:
    position, size = 0, len(raw)
    while position < size:
        begin = position + RECORD.size
        opcode, length = RECORD.unpack_from(raw, position) if begin <= size else (0, size)
        if length > size - begin:
            raise broken(path, f"the chunk at byte {offset} ends within a record")
        position = begin + length
        yield opcode, raw[begin:position]


def _unpacked(path: Path, compression: bytes, packed: memoryview, size: int, offset: int) -> memoryview:
    if size > MAX_CHUNK_BYTES:
        raise SourceError(
            f"{path}: the chunk at byte {offset} would unpack to {size / 2**20:.0f} MiB",
            "write it again in chunks of about 4 MiB: mcap compress does that",
        )
    if compression not in _UNPACKERS:
        known = ", ".join(name.decode() for name in _UNPACKERS if name)
        raise SourceError(
            f"{path} is compressed with {compression[:20]!r}, but only {known} or nothing can be unpacked",
            "compress it again with: mcap compress FILE -o OTHER --compression zstd",
        )
    try:
        raw = _UNPACKERS[compression](packed, size)
    except (ValueError, RuntimeError, zstd_error()) as error:  # what lz4 and zstandard raise
        raise broken(path, f"the chunk at byte {offset} cannot be unpacked ({first_line(error)})") from error
    if len(raw) != size:
        raise broken(path, f"the chunk at byte {offset} unpacks to {len(raw)} bytes, not to {size}")
    return memoryview(raw)


def zstd_error() -> type[Exception]:
    """What zstandard raises, a direct child of Exception."""
    error: type[Exception] = require_module("zstandard").ZstdError
    return error


def _zstd(packed: memoryview, size: int) -> bytes:
    zstandard = require_module("zstandard")
    declared = zstandard.frame_content_size(packed)
    if declared not in (-1, size):  # -1: the frame does not tell, and a buffer of the chunk's size must do
        raise ValueError(f"its frame says {declared} bytes, the chunk {size}")
    unpacked: bytes = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    return unpacked


def _lz4(packed: memoryview, size: int) -> bytes:
    unpacked: bytes = require_module("lz4.frame").LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    return unpacked


_UNPACKERS = {b"": lambda packed, _size: packed, b"lz4": _lz4, b"zstd": _zstd}
