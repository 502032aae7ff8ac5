"""The MCAP container: order, files without an index, and every way in which one can be broken."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.runtime.errors import SourceError
from edge.runtime.sources import mcap_chunks, mcap_file
from edge.runtime.sources.mcap_file import McapFile

mcap_writer = pytest.importorskip("mcap.writer")
NONE, LZ4, ZSTD = (getattr(mcap_writer.CompressionType, name) for name in ("NONE", "LZ4", "ZSTD"))

TIMES = [5, 1, 2, 9, 4, 4, 7, 3, 8, 6]


def write(path: Path, times: list[int] | None = None, compression: Any = LZ4, **options: Any) -> Path:
    """Two topics in turn, the message's number as its data; two or three messages a chunk."""
    with path.open("wb") as file:
        writer = mcap_writer.Writer(file, chunk_size=options.pop("chunk_size", 130), compression=compression, **options)
        writer.start()
        schema = writer.register_schema("a.Type", "jsonschema", b"{}")
        channels = [writer.register_channel(f"/{n}", "json", schema, {"n": str(n)}) for n in range(2)]
        writer.add_attachment(1, 2, "notes.txt", "text/plain", b"hello")
        writer.add_metadata("about", {"who": "me"})
        for number, at in enumerate(TIMES if times is None else times):
            writer.add_message(channels[number % 2], at, b"%d" % number, at, number)
        writer.finish()
    return path


def read(path: Path, topics: tuple[str, ...] = ("/0", "/1")) -> list[tuple[int, int]]:
    file = McapFile(path)
    wanted = [c.id for c in file.channels.values() if c.topic in topics]
    return [(m.log_time, m.sequence) for m in file.messages(wanted)]


@pytest.mark.parametrize("compression", [NONE, LZ4, ZSTD])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunk_size": 10**6},
        {"index_types": mcap_writer.IndexType.NONE},
        {"repeat_channels": False, "repeat_schemas": False},
        {"use_statistics": False},
        {"use_chunking": False},
        {"enable_crcs": False},
        {
            "index_types": mcap_writer.IndexType.NONE,
            "repeat_channels": False,
            "repeat_schemas": False,
            "use_statistics": False,
            "use_summary_offsets": False,
        },
    ],
)
def test_messages_come_by_log_time_whatever_the_index(
    tmp_path: Path, compression: Any, options: dict[str, Any]
) -> None:
    path = write(tmp_path / "a.mcap", compression=compression, **options)
    expected = sorted((at, number) for number, at in enumerate(TIMES))
    assert read(path) == expected
    assert read(path, ("/1",)) == [(at, number) for at, number in expected if number % 2]
    file = McapFile(path)
    assert (file.start_ns, file.end_ns, sum(file.counts.values())) == (1, 9, 10)
    assert {c.topic: (c.type, c.encoding, c.metadata) for c in file.channels.values()} == {
        "/0": ("a.Type", "json", {"n": "0"}),
        "/1": ("a.Type", "json", {"n": "1"}),
    }
    assert file.attachment("other") is None
    if options.get("index_types") is None or not options.get("repeat_channels", True):
        assert (file.attachment("notes.txt"), file.metadata("about")) == (b"hello", {"who": "me"})


@given(st.lists(st.integers(0, 30), max_size=40), st.sampled_from([60, 130, 1000]))
@example([0, 0, 1, 0, 0, 0], 60)  # chunks that begin alike, of which an earlier one ends later
@settings(max_examples=30, deadline=None)
def test_the_order_is_that_of_the_official_reader(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], chunk_size: int
) -> None:
    from mcap.reader import make_reader

    path = write(tmp_path_factory.mktemp("order") / "a.mcap", times, chunk_size=chunk_size)
    with path.open("rb") as file:
        official = [(m.log_time, m.sequence) for _, _, m in make_reader(file).iter_messages()]
    assert read(path) == official


def test_memory_holds_a_few_chunks_however_long_the_file(tmp_path: Path) -> None:
    """Ten times as long a file takes the same memory."""
    import tracemalloc

    peaks = []
    for count in (30, 300):
        path = tmp_path / f"{count}.mcap"
        with path.open("wb") as file:
            writer = mcap_writer.Writer(file, chunk_size=300_000, compression=LZ4)
            writer.start()
            channel = writer.register_channel("/0", "json", writer.register_schema("a", "jsonschema", b""))
            for n in range(count):
                writer.add_message(channel, n, bytes(100_000), n, n)
            writer.finish()
        source = McapFile(path)
        tracemalloc.start()
        assert sum(len(m.data) for m in source.messages(source.channels)) == count * 100_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 3_000_000


def test_the_folder_of_a_ros_bag_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not hold one MCAP file but none"):
        McapFile(tmp_path)
    write(tmp_path / "bag_0.mcap")
    assert len(read(tmp_path)) == 10
    write(tmp_path / "bag_1.mcap")
    with pytest.raises(SourceError, match=r"bag_0\.mcap, bag_1\.mcap"):
        McapFile(tmp_path)


def _chunk_at(content: bytes) -> int:
    """Where the first chunk's content begins: records are walked from the header on."""
    at = len(mcap_file.MAGIC)
    while content[at] != 0x06:
        at += 9 + int(struct.unpack_from("<Q", content, at + 1)[0])
    return at + 9


def _patch(at: int, form: str, value: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        struct.pack_into(form, content, _chunk_at(bytes(content)) + at, value)

    return change


def _cut(share: float) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        del content[int(len(content) * share) :]

    return change


def _replace(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        assert old in content
        content[:] = content.replace(old, new)

    return change


def _flip_in_chunk(content: bytearray) -> None:
    content[_chunk_at(bytes(content)) + 60] ^= 0x55


def _remove_chunk(content: bytearray) -> None:
    """As if a block of the disk were lost: the chunk is zeros."""
    at = _chunk_at(bytes(content)) - 9
    (length,) = struct.unpack_from("<Q", content, at + 1)
    content[at : at + 9 + length] = bytes(9 + length)


def _summary_outside(content: bytearray) -> None:
    struct.pack_into("<Q", content, len(content) - 28, 2**40)


BROKEN: dict[str, tuple[Callable[[bytearray], None], str]] = {
    "empty": (_cut(0), "is empty"),
    "no magic": (_replace(b"\x89MCAP0\r\n", b"RIFFWAVE"), "is no MCAP file"),
    "cut in the middle": (_cut(0.5), "it has no end"),
    "cut at the end": (_cut(0.99), "it has no end"),
    "only magic": (_cut(0.012), "it has no end|no MCAP"),
    "altered chunk": (_flip_in_chunk, "does not match its checksum|cannot be unpacked"),
    "lost chunk": (_remove_chunk, "there is no chunk at byte"),
    "unknown compression": (_replace(b"\x03\x00\x00\x00lz4", b"\x03\x00\x00\x00lzx"), "compressed with b'lzx'"),
    "giant chunk": (_patch(16, "<Q", 2**60), "would unpack to"),
    "larger chunk": (_patch(16, "<Q", 2**20), "unpack"),
    "smaller chunk": (_patch(16, "<Q", 20), "unpack"),
    "long name": (_patch(28, "<I", 2**31), "another length than it says"),
    "long content": (_patch(35, "<Q", 2**50), "another length than it says"),
    "wrong checksum": (_patch(24, "<I", 77), "does not match its checksum"),
    "summary outside": (_summary_outside, "its summary lies outside"),
}


LZ4_ONLY = {"unknown compression", "long content"}  # they are patched where the name lz4 is, or ends


@pytest.mark.parametrize(
    ("case", "compression"), [*((c, LZ4) for c in BROKEN), *((c, ZSTD) for c in BROKEN if c not in LZ4_ONLY)]
)
def test_a_broken_file_is_refused_with_its_cause(tmp_path: Path, case: str, compression: Any) -> None:
    spoil, message = BROKEN[case]
    path = write(tmp_path / "a.mcap", compression=compression, chunk_size=10**6)
    content = bytearray(path.read_bytes())
    spoil(content)
    path.write_bytes(bytes(content))
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_altered_the_error_is_ours(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("altered") / "a.mcap"
    content = bytearray(write(path, compression=NONE).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        read(path)
        McapFile(path).attachment("notes.txt")
    except SourceError as error:
        assert error.remedy


def test_times_that_go_backwards_without_an_index_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_file, "REORDER", 4)
    late = [10, 11, 12, 13, 14, 15, 16, 17, 3]
    with pytest.raises(SourceError, match="go backwards at message 8"):
        read(write(tmp_path / "a.mcap", late, use_chunking=False))
    nearly = [11, 10, 12, 14, 13, 15, 17, 16, 18]
    assert [at for at, _ in read(write(tmp_path / "b.mcap", nearly, use_chunking=False))] == list(range(10, 19))


def test_an_index_that_lies_about_times_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", [100, 200], compression=NONE, chunk_size=10**6, enable_crcs=False)
    content = path.read_bytes()
    # The chunk index names 100 to 200; its record is the only 0x08 whose content begins so.
    span = struct.pack("<QQ", 100, 200)
    at = content.rindex(b"\x08" + content[content.rindex(span) - 8 : content.rindex(span)] + span)
    path.write_bytes(content[: at + 9] + struct.pack("<QQ", 150, 200) + content[at + 25 :])
    with pytest.raises(SourceError, match="times that its index does not name"):
        read(path)


def test_chunks_that_all_overlap_are_not_all_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_file, "MAX_HELD_BYTES", 20)
    times = [n for k in range(30) for n in (k, 1000 - k)]
    with pytest.raises(SourceError, match="overlap in time"):
        read(write(tmp_path / "a.mcap", times))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that says 1000 bytes and packs 100 MB never becomes 100 MB."""
    lz4, zstandard = pytest.importorskip("lz4.frame"), pytest.importorskip("zstandard")
    huge = bytes(100_000_000)
    for name, packed in (("lz4", lz4.compress(huge)), ("zstd", zstandard.compress(huge))):
        head = struct.pack("<QQQI", 0, 1, 1000, zlib.crc32(huge)) + struct.pack("<I", len(name)) + name.encode()
        content = memoryview(head + struct.pack("<Q", len(packed)) + packed)
        with pytest.raises(SourceError, match="unpack"):
            mcap_chunks.chunk_records(tmp_path, content, 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no recording"):
        McapFile(tmp_path / "absent.mcap")
