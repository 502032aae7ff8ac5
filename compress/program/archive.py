"""The zip archive around an exported torch program (`.pt2`): its members taken out, and a new one written of them.

torch reads a member that this module does not know as a library to load, a pickle, or another program. So members are
known by name, and what torch gets to see is an archive that was written here: two readers of one zip file may see
different members in it.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from edge.runtime.errors import ModelError, first_line
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = "edge_names.json"
LIMIT_BYTES = 2 << 30
MODEL = "models/model.json"
NAMES_MEMBER = f"extra/{NAMES}"
CONFIGS = {"data/weights/": "model_weights_config.json", "data/constants/": "model_constants_config.json"}
EXPORT_AGAIN = "export the program again with torch.export.save"
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_[0-9]{1,9}")
_SMALL = {"archive_format", "archive_version", "byteorder", ".data/version"}
_KNOWN = {*_SMALL, MODEL, NAMES_MEMBER, *(folder + name for folder, name in CONFIGS.items())}
# Samples are pickled by torch, extra files are whatever their writer liked: neither is looked at.
_SAMPLES = "data/sample_inputs/model.pt"
_IGNORED = re.compile(rf"\.data/serialization_id|{re.escape(_SAMPLES)}|extra/.+", re.DOTALL)
_SMALL_BYTES, _JSON_BYTES = 64, 64 << 20


def read_archive(content: bytes, where: str) -> dict[str, bytes]:
    """The members that make up a program, by their path inside the archive's folder.

    Args:
        content: The file.
        where: Names it in messages.

    Raises:
        ModelError: It is no such archive, is damaged or too large, or has a member that torch does not write.
    """
    if len(content) > LIMIT_BYTES:
        raise ModelError(f"{where} has {len(content)} bytes, more than {LIMIT_BYTES}", EXPORT_AGAIN)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = _members(archive.infolist(), where)
            _check_sizes(infos, len(content), where)
            members = {name: archive.read(info) for name, info in infos.items()}
    except ModelError:
        raise
    except Exception as error:  # a damaged archive raises one of a dozen types
        raise ModelError(f"{where} is no archive of torch.export ({first_line(error)})", EXPORT_AGAIN) from error
    missing = sorted(_KNOWN - {NAMES_MEMBER} - members.keys())
    if missing:
        raise ModelError(f"{where} holds no exported program: it lacks {missing[0]}", EXPORT_AGAIN)
    if members["byteorder"] != b"little":
        raise ModelError(f"{where} is not little-endian", "export the program on the machine that checks it")
    return members


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """An archive for torch.export.load, with no sample inputs in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in {**members, _SAMPLES: b""}.items():
            archive.writestr(f"archive/{name}", content)
    return stream.getvalue()


def _members(infos: list[zipfile.ZipInfo], where: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for info in infos:
        problem = _problem(info, seen, infos[0].filename.partition("/")[0])
        if problem:
            raise ModelError(f"{where}: its member '{printable(info.filename[:80])}' {problem}", EXPORT_AGAIN)
        seen.add(info.filename)
        name = info.filename.partition("/")[2]
        if name in _KNOWN or _TENSOR.fullmatch(name):
            found[name] = info
    return found


def _problem(info: zipfile.ZipInfo, seen: set[str], root: str) -> str | None:
    folder, _, name = info.filename.partition("/")
    if info.filename in seen:
        return "is there twice"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is compressed, as torch never writes it"
    if {*info.filename.split("/")} & {"", ".", ".."} or "\\" in info.filename:
        return "has a path that leads elsewhere"
    if folder != root or not (name in _KNOWN or _TENSOR.fullmatch(name) or _IGNORED.fullmatch(name)):
        return "does not belong into a program of tensors and operators"
    return None


def _check_sizes(infos: Mapping[str, zipfile.ZipInfo], total: int, where: str) -> None:
    for name, info in infos.items():
        limit = _SMALL_BYTES if name in _SMALL else _JSON_BYTES if name.endswith(".json") else LIMIT_BYTES
        if info.file_size > limit:
            raise ModelError(f"{where}: {name} has {info.file_size} bytes, more than {limit}", EXPORT_AGAIN)
    if sum(info.file_size for info in infos.values()) > total:
        raise ModelError(f"{where}: its members overlap", EXPORT_AGAIN)
