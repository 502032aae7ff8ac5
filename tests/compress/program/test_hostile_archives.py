"""Archives that pass for programs: members that do not belong, paths that lead elsewhere, sizes that lie, and damage.

The payloads are real: each makes a file where it runs, and none may.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from edge.compress.program.file import read_program
from tests.compress.program.samples import (
    MODEL,
    WEIGHTS,
    closed,
    edited,
    exported,
    harmful_pickle,
    opened,
    packed,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_extra_files_are_not_looked_at(mark: Path) -> None:
    files = {**opened(exported()), "archive/extra/more.pt": harmful_pickle(mark)}
    assert read_program(closed(files), "some.pt2").input_names == ("image", "present")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "data/weights/model.pt",  # unpickled before the tensors are looked for
        "data/constants/model.pt",
        "data/aotinductor/model/model.so",  # loaded as a library
        "data/aotinductor/model/wrapper.cpp",
        "data/executorch/model.pte",
        "models/other.json",  # every file of this folder is loaded as a program, whatever its ending
        "models/model.JSON",
        "models/model",
        "data/weights/model_weights_config.JSON",
        "data/weights/weight_0.pt",
        "serialized_constants.pt",
        "byteorder.txt",
        "",
    ],
)
def test_members_that_torch_would_take_for_more_than_tensors_are_refused(name: str, mark: Path) -> None:
    refused(closed({**opened(packed()), f"archive/{name}": harmful_pickle(mark)}), "its member .* ", mark)


def test_an_archive_of_the_older_format_is_refused(mark: Path) -> None:
    names = "serialized_state_dict.pt", "serialized_constants.pt", "serialized_example_inputs.pt"
    older = {"version": b"8.20", "serialized_exported_program.json": b"{}"}
    refused(closed({**older, **dict.fromkeys(names, harmful_pickle(mark))}), "'version' ", mark)
    both = {**opened(packed()), **older, **dict.fromkeys(names, harmful_pickle(mark))}
    refused(closed(both), "'version' ", mark)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../archive/models/model.json",
        "archive/../models/model.json",
        "archive/extra/../../x",
        "archive/extra/./x",
        "archive//models/model.json",
        "archive/models\\model.json",
        "archive/data/",
        "elsewhere/models/model.json",
        "models/model.json",
    ],
)
def test_paths_that_leave_the_archive_are_refused(name: str) -> None:
    refused(closed({**opened(packed()), name: b"{}"}), r"its member '.*' (has a path|does not belong)")


def test_a_member_that_is_there_twice_is_refused() -> None:
    stream = io.BytesIO(packed())
    with zipfile.ZipFile(stream, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(MODEL, b"{}")
    refused(stream.getvalue(), "is there twice")


def test_compressed_members_are_refused_before_they_are_opened() -> None:
    stream = io.BytesIO(packed())
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/weights/weight_77", b"\0" * (64 << 20))
    refused(stream.getvalue(), "'archive/data/weights/weight_77' is compressed")


def test_sizes_that_are_only_claimed_are_refused() -> None:
    content = bytearray(packed())
    at = content.rindex(b"archive/data/weights/weight_0") - 46  # its entry in the archive's directory
    assert content[at : at + 4] == b"PK\1\2"
    content[at + 20 : at + 28] = (1 << 30).to_bytes(4, "little") * 2
    refused(bytes(content), "its members overlap|no archive")


def test_a_large_text_is_refused_before_it_is_parsed() -> None:
    refused(closed({**opened(packed()), MODEL: b" " * ((64 << 20) + 1)}), r"models/model\.json has 67108865 bytes")


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, packed()[:-1], packed()[: len(packed()) // 2], b"{}"],
    ids=["empty", "letter", "header", "no members", "last byte", "half", "json"],
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    refused(content, "is no archive|holds no exported program")


def test_changed_bytes_are_noticed() -> None:
    content = bytearray(packed())
    weight = content.index(opened(packed())["archive/data/weights/weight_0"])
    content[weight] ^= 1
    refused(bytes(content), "is no archive of torch.export .*CRC")


@pytest.mark.parametrize("name", ["archive_format", "byteorder", "models/model.json", ".data/version"])
def test_a_member_that_is_missing_is_named(name: str) -> None:
    files = opened(packed())
    del files[f"archive/{name}"]
    refused(closed(files), f"lacks {name}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("archive_format", b"pt3", "does not read some.pt2"),
        ("archive_version", b"99", "does not read some.pt2 .*version 99"),
        ("byteorder", b"big", "not little-endian"),
        ("models/model.json", b"[" * 100_000, "is not what torch writes"),
        ("models/model.json", b'{"a":' * 100_000, "is not what torch writes"),
        ("models/model.json", b"{", "is not what torch writes"),
        ("models/model.json", b"[]", "is not what torch writes"),
        ("models/model.json", b"\xff\xfe", "is not what torch writes"),
        ("data/weights/model_weights_config.json", b'{"config": []}', "is not what torch writes"),
    ],
)
def test_contents_that_torch_does_not_write_are_refused(name: str, content: bytes, message: str) -> None:
    refused(closed({**opened(packed()), f"archive/{name}": content}), message)


def meta_of(content: Any) -> Any:
    return content["config"]["stem.weight"]["tensor_meta"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: meta_of(c).update(storage_offset={"as_int": 1}),
        lambda c: meta_of(c)["sizes"].__setitem__(0, {"as_int": 5}),
        lambda c: meta_of(c)["strides"].__setitem__(0, {"as_int": 1 << 20}),
        lambda c: meta_of(c).update(dtype=8),
        lambda c: c["config"]["stem.weight"].update(path_name="weight_99"),
    ],
)
def test_weights_reach_no_further_than_their_bytes(change: Callable[[Any], object]) -> None:
    refused(edited(change, WEIGHTS), r"'stem\.weight' has only (432|0) bytes")


def test_weights_without_bytes_take_no_memory() -> None:
    files = opened(edited(lambda c: meta_of(c).update(sizes=[{"as_int": 1 << 30}] + [{"as_int": 1}] * 3), WEIGHTS))
    files["archive/data/weights/weight_0"] = b""
    refused(closed(files), r"has only 0 bytes")


@pytest.mark.parametrize("size", [-1, 1.5, "4", True, None, 1 << 70])
def test_sizes_are_counts(size: object) -> None:
    refused(edited(lambda c: meta_of(c)["sizes"].__setitem__(0, {"as_int": size}), WEIGHTS), "is not what torch writes")
