"""An MCAP file read chunk by chunk: in the order of log times, within bounds, every size and checksum verified.

The container's records are parsed by the official `mcap` package. Chunks are read here, because nothing that a file
says of itself is trusted: a record must lie inside the file, a chunk must unpack to exactly the size that it declares
and match its checksum, and its messages must lie in the span of time that the index promises.
"""

from __future__ import annotations

import heapq
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.runtime.capabilities import require_module
from edge.runtime.errors import SourceError, first_line
from edge.runtime.sources.mcap_chunks import AGAIN, CHUNK, MAX_CHUNK_BYTES, RECORD, broken, chunk_records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from typing import IO

MAGIC = b"\x89MCAP0\r\n"
MAX_HELD_BYTES = 1024 * 2**20  # of chunks whose times overlap
MAX_RECORD_BYTES = 64 * 2**20  # of anything that is no message
# Messages of a file without chunks are sorted within a window of so many.
REORDER = 256
_MESSAGE, _FOOTER = struct.Struct("<HIQQ"), struct.Struct("<QQI")
_SCHEMA_OP, _CHANNEL_OP, _MESSAGE_OP, _CHUNK_OP, _CHUNK_INDEX_OP = 0x03, 0x04, 0x05, 0x06, 0x08
_ATTACHMENT_OP, _STATISTICS_OP, _METADATA_OP, _DATA_END_OP = 0x09, 0x0B, 0x0C, 0x0F
_ATTACHMENT_INDEX_OP, _METADATA_INDEX_OP = 0x0A, 0x0D
_TAIL = RECORD.size + _FOOTER.size + len(MAGIC)


class Channel(NamedTuple):
    """A topic with its type.

    Attributes:
        id: Number in the file.
        topic: Name.
        type: Name of the schema, e.g. `sensor_msgs/msg/Image`.
        encoding: Of the messages: `cdr`, `protobuf`, `json`.
        schema: The `mcap` record, or None.
        metadata: What the writer noted.
    """

    id: int
    topic: str
    type: str
    encoding: str
    schema: Any
    metadata: dict[str, str]


class Message(NamedTuple):
    """One message; `data` is a view into its chunk."""

    channel_id: int
    sequence: int
    log_time: int
    publish_time: int
    data: memoryview


class _Chunk(NamedTuple):
    start_ns: int
    end_ns: int
    offset: int
    length: int
    channels: frozenset[int]  # empty where the index does not tell


@dataclass
class _Contents:
    schemas: dict[int, Any] = field(default_factory=dict)
    channels: dict[int, Any] = field(default_factory=dict)
    chunks: list[_Chunk] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    attachments: dict[str, tuple[int, int]] = field(default_factory=dict)
    metadata: dict[str, tuple[int, int]] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int | None = None
    bare: int = 0  # messages outside chunks

    def add_message(self, channel_id: int, log_time: int) -> None:
        self.counts[channel_id] = self.counts.get(channel_id, 0) + 1
        self.start_ns = log_time if self.start_ns is None else min(self.start_ns, log_time)
        self.end_ns = log_time if self.end_ns is None else max(self.end_ns, log_time)


class McapFile:
    """What a file contains, and its messages. It is opened for each reading, and closed after it.

    Args:
        path: The file, or the folder of a ROS 2 bag that holds one. A file without an index is scanned once.

    Raises:
        SourceError: It is missing, empty, no MCAP, truncated or contradicts itself.
        MissingDependencyError: The extra `mcap` is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = _within(path)
        self._records, self._streams = require_module("mcap.records"), require_module("mcap.data_stream")
        with self._open() as file:
            contents = self._index(file)
        self._contents = contents
        self.start_ns, self.end_ns, self.counts = contents.start_ns, contents.end_ns, contents.counts

    @property
    def channels(self) -> dict[int, Channel]:
        """Every channel, by its number."""
        found = {}
        for number, channel in sorted(self._contents.channels.items()):
            schema = self._contents.schemas.get(channel.schema_id)
            name = schema.name if schema else ""
            found[number] = Channel(
                number, channel.topic, name, channel.message_encoding, schema, dict(channel.metadata)
            )
        return found

    def attachment(self, name: str) -> bytes | None:
        """Content of an attachment; None where there is none of that name."""
        record = self._stored(self._contents.attachments.get(name), self._records.Attachment)
        return None if record is None else bytes(record.data)

    def metadata(self, name: str) -> dict[str, str] | None:
        """A metadata record; None where there is none of that name."""
        record = self._stored(self._contents.metadata.get(name), self._records.Metadata)
        return None if record is None else dict(record.metadata)

    def messages(self, channel_ids: Collection[int]) -> Iterator[Message]:
        """Messages of some channels by log time; those of equal time in the order of the file.

        Raises:
            SourceError: A chunk is truncated, altered or packed in an unknown way, or times go backwards.
        """
        wanted = frozenset(channel_ids)
        with self._open() as file:
            if self._contents.bare:
                yield from self._unchunked(file, wanted)
            else:
                yield from self._chunked(file, wanted)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("rb") as file:
                yield file
        except SourceError:
            raise
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read ({first_line(error)})", AGAIN) from error

    def _broken(self, what: str) -> SourceError:
        return broken(self.path, what)

    def _index(self, file: IO[bytes]) -> _Contents:
        size = file.seek(0, 2)
        if not size:
            raise SourceError(f"{self.path} is empty", AGAIN)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise SourceError(
                f"{self.path} is no MCAP file", "pass an MCAP file, e.g. one that `edge run --record` wrote"
            )
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
        if len(tail) < _TAIL or tail[-len(MAGIC) :] != MAGIC or tail[0] != 0x02:
            raise self._broken("it has no end")
        summary, _, _ = _FOOTER.unpack_from(tail, RECORD.size)
        contents = _Contents()
        if summary:
            if not len(MAGIC) < summary <= size - _TAIL:
                raise self._broken("its summary lies outside of it")
            self._read(file, summary, size - _TAIL, contents)
        if not contents.channels or (contents.counts and not contents.chunks) or contents.start_ns is None:
            contents = _Contents()
            self._read(file, len(MAGIC), size - _TAIL, contents)
        return contents

    def _walk(self, file: IO[bytes], begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Opcode, offset and length of each record's content."""
        while begin < end:
            file.seek(begin)
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                raise self._broken(f"it ends within a record at byte {begin}")
            opcode, length = RECORD.unpack(head)
            begin += RECORD.size
            if length > end - begin:
                raise self._broken(f"a record at byte {begin} is longer than what follows")
            yield opcode, begin, length
            begin += length

    def _read(self, file: IO[bytes], begin: int, end: int, contents: _Contents) -> None:
        for opcode, offset, length in self._walk(file, begin, end):
            if opcode == _DATA_END_OP:
                return
            if opcode == _CHUNK_OP:
                self._scan_chunk(file, offset, length, contents)
            elif opcode == _MESSAGE_OP:
                contents.bare += 1
                head = _MESSAGE.unpack(self._bytes(file, offset, min(length, _MESSAGE.size), _MESSAGE.size))
                contents.add_message(head[0], head[2])
            elif opcode in (_ATTACHMENT_OP, _METADATA_OP):
                self._note_stored(file, opcode, offset, length, contents)
            else:
                self._note(opcode, lambda at=offset, n=length: self._bytes(file, at, n), contents)

    def _bytes(self, file: IO[bytes], offset: int, length: int, least: int = 0) -> bytes:
        if length > MAX_RECORD_BYTES or length < least:
            raise self._broken(f"a record at byte {offset} has {length} bytes")
        file.seek(offset)
        content = file.read(length)
        if len(content) < length:
            raise self._broken(f"it ends within a record at byte {offset}")
        return content

    def _parsed(self, kind: Any, content: bytes) -> Any:
        stream = self._streams.ReadDataStream(BytesIO(content))
        try:
            return kind.read(stream)
        # What the mcap package raises on a malformed record: its own EndOfFile, and Python's.
        except (self._mcap_error, struct.error, ValueError, OverflowError, MemoryError) as error:
            raise self._broken(f"a {kind.__name__} record cannot be parsed ({first_line(error)})") from error

    @property
    def _mcap_error(self) -> type[Exception]:
        error: type[Exception] = require_module("mcap.exceptions").McapError
        return error

    def _note(self, opcode: int, read: Any, contents: _Contents) -> None:
        records = self._records
        if opcode == _SCHEMA_OP:
            schema = self._parsed(records.Schema, read())
            contents.schemas[schema.id] = schema
        elif opcode == _CHANNEL_OP:
            channel = self._parsed(records.Channel, read())
            contents.channels[channel.id] = channel
        elif opcode == _CHUNK_INDEX_OP:
            index = self._parsed(records.ChunkIndex, read())
            span = (index.message_start_time, index.message_end_time, index.chunk_start_offset, index.chunk_length)
            contents.chunks.append(_Chunk(*span, frozenset(index.message_index_offsets)))
        elif opcode == _STATISTICS_OP:
            statistics = self._parsed(records.Statistics, read())
            contents.counts = dict(statistics.channel_message_counts)
            contents.start_ns, contents.end_ns = statistics.message_start_time, statistics.message_end_time
        elif opcode in (_ATTACHMENT_INDEX_OP, _METADATA_INDEX_OP):
            attached = opcode == _ATTACHMENT_INDEX_OP
            index = self._parsed(records.AttachmentIndex if attached else records.MetadataIndex, read())
            found = contents.attachments if attached else contents.metadata
            found[index.name] = (index.offset, index.length)

    def _note_stored(self, file: IO[bytes], opcode: int, offset: int, length: int, contents: _Contents) -> None:
        if length > MAX_RECORD_BYTES:  # a large attachment is none of ours
            return
        kind = self._records.Attachment if opcode == _ATTACHMENT_OP else self._records.Metadata
        found = contents.attachments if opcode == _ATTACHMENT_OP else contents.metadata
        name = self._parsed(kind, self._bytes(file, offset, length)).name
        found[name] = (offset - RECORD.size, length + RECORD.size)

    def _stored(self, where: tuple[int, int] | None, kind: Any) -> Any:
        if where is None:
            return None
        with self._open() as file:
            content = self._bytes(file, where[0], where[1], RECORD.size)
        return self._parsed(kind, content[RECORD.size :])

    def _scan_chunk(self, file: IO[bytes], offset: int, length: int, contents: _Contents) -> None:
        start_ns, end_ns = CHUNK.unpack(self._bytes(file, offset, CHUNK.size))[:2]
        seen = set()
        for opcode, content in self._unpacked(file, offset, length):
            if opcode == _MESSAGE_OP:
                message = self._message(content)
                contents.add_message(message.channel_id, message.log_time)
                seen.add(message.channel_id)
            else:
                self._note(opcode, lambda c=content: bytes(c), contents)
        if seen:
            where = (offset - RECORD.size, length + RECORD.size)
            contents.chunks.append(_Chunk(start_ns, end_ns, *where, frozenset(seen)))

    def _unpacked(self, file: IO[bytes], offset: int, length: int) -> Iterator[tuple[int, memoryview]]:
        """Opcode and content of each record in the chunk whose content lies there."""
        if length > MAX_CHUNK_BYTES:
            raise self._broken(f"the chunk at byte {offset} has {length} bytes")
        file.seek(offset)
        content = memoryview(file.read(length))
        if len(content) < length:
            raise self._broken(f"it ends within the chunk at byte {offset}")
        return chunk_records(self.path, content, offset)

    def _message(self, content: memoryview) -> Message:
        if len(content) < _MESSAGE.size:
            raise self._broken("a message has no head")
        channel_id, sequence, log_time, publish_time = _MESSAGE.unpack_from(content)
        return Message(channel_id, sequence, log_time, publish_time, content[_MESSAGE.size :])

    def _chunked(self, file: IO[bytes], wanted: frozenset[int]) -> Iterator[Message]:
        waiting: list[tuple[int, int, int, Message]] = []
        held = 0
        for chunk in sorted(self._contents.chunks, key=lambda chunk: (chunk.start_ns, chunk.offset)):
            if chunk.channels and not chunk.channels & wanted:
                continue
            while waiting and waiting[0][:2] < (chunk.start_ns, chunk.offset):
                message = heapq.heappop(waiting)[3]
                held -= len(message.data)
                yield message
            for number, message in enumerate(self._chunk_messages(file, chunk)):
                if message.channel_id in wanted:
                    heapq.heappush(waiting, (message.log_time, chunk.offset, number, message))
                    held += len(message.data)
            if held > MAX_HELD_BYTES:
                raise SourceError(
                    f"{self.path}: so many chunks overlap in time that {held / 2**20:.0f} MiB would be held",
                    "sort it with: mcap sort FILE -o SORTED",
                )
        while waiting:
            yield heapq.heappop(waiting)[3]

    def _chunk_messages(self, file: IO[bytes], chunk: _Chunk) -> Iterator[Message]:
        head = self._bytes(file, chunk.offset, RECORD.size)
        opcode, length = RECORD.unpack(head)
        if opcode != _CHUNK_OP or length + RECORD.size != chunk.length:
            raise self._broken(f"there is no chunk at byte {chunk.offset}, where its index says so")
        for opcode, content in self._unpacked(file, chunk.offset + RECORD.size, length):
            if opcode == _MESSAGE_OP:
                message = self._message(content)
                if not chunk.start_ns <= message.log_time <= chunk.end_ns:
                    raise self._broken(f"the chunk at byte {chunk.offset} holds times that its index does not name")
                yield message

    def _unchunked(self, file: IO[bytes], wanted: frozenset[int]) -> Iterator[Message]:
        waiting: list[tuple[int, int, Message]] = []
        latest = 0
        size = file.seek(0, 2)
        for number, message in enumerate(self._bare(file, size, wanted)):
            if message.log_time < latest:
                raise SourceError(
                    f"{self.path}: its log times go backwards at message {message.sequence}, and it has no index",
                    "sort it with: mcap sort FILE -o SORTED",
                )
            heapq.heappush(waiting, (message.log_time, number, message))
            if len(waiting) > REORDER:
                latest, _, oldest = heapq.heappop(waiting)
                yield oldest
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _bare(self, file: IO[bytes], size: int, wanted: frozenset[int]) -> Iterator[Message]:
        for opcode, offset, length in self._walk(file, len(MAGIC), size - _TAIL):
            if opcode == _DATA_END_OP:
                return
            if opcode == _MESSAGE_OP:
                if not _MESSAGE.size <= length <= MAX_CHUNK_BYTES:
                    raise self._broken(f"the message at byte {offset} has {length} bytes")
                file.seek(offset)
                message = self._message(memoryview(file.read(length)))
                if message.channel_id in wanted:
                    yield message
            elif opcode == _CHUNK_OP:
                chunked = (c for op, c in self._unpacked(file, offset, length) if op == _MESSAGE_OP)
                yield from (m for m in map(self._message, chunked) if m.channel_id in wanted)


def _within(path: Path) -> Path:
    """The only MCAP file of a folder, as ROS 2 writes its bags."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise SourceError(f"there is no recording {path}", "pass the path of an MCAP file")
    files = sorted(path.glob("*.mcap"))
    if len(files) != 1:
        named = ", ".join(file.name for file in files) or "none"
        raise SourceError(f"the folder {path} does not hold one MCAP file but {named}", "pass one file of the bag")
    return files[0]
