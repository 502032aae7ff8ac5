"""Engines that were built on this machine: found by what they depend on, and checked before TensorRT reads them.

`$EDGE_CACHE/engines/<first 32 digits of the key's digest>/` holds `engine.plan` and `record.json`. Reading a plan can
run code, so a folder or file that belongs to another user, or that others may write, is refused, and so is a plan that
came from elsewhere unless a trusted key has signed it. The digests guard against accident only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.runtime.atomic import atomic_folder
from edge.runtime.engine_key import SCHEMA, EngineKey, EngineRecord
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "EDGE_CACHE"
ENGINES, PLAN, RECORD = "engines", "engine.plan", "record.json"
LIMIT_RECORD_BYTES = 1 << 20
_ENTRY = re.compile(r"[0-9a-f]{32}")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


@dataclass(frozen=True)
class CachedEngine:
    """An engine whose record and digest were checked.

    Attributes:
        path: Its folder.
        record: What is known of it.
        plan: What TensorRT deserializes.
    """

    path: Path
    record: EngineRecord
    plan: bytes


def cache_root() -> Path:
    """`$EDGE_CACHE`, else `edge` in `$XDG_CACHE_HOME`, else `~/.cache/edge`."""
    own, shared = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME", "")
    if own:
        return Path(own)
    # The XDG base directory specification has relative paths ignored.
    return (Path(shared) if Path(shared).is_absolute() else Path("~/.cache").expanduser()) / "edge"


class EngineCache:
    """The cache of one user on one machine.

    Args:
        root: Its folder; `cache_root()` where it is not given. Made when the first engine is stored.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or cache_root()).resolve()

    def path_of(self, key: EngineKey) -> Path:
        """Where the engine of a key lies, or would lie."""
        return self.root / ENGINES / key.digest[:32]

    def find(self, key: EngineKey) -> CachedEngine | None:
        """The engine of a key; None where there is none (`explain` says why).

        Raises:
            BundleError: It is there, but damaged, incomplete, of a newer schema, of another key, not this user's alone,
                or of unknown origin. It is not used.
        """
        path = self.path_of(key)
        if not os.path.lexists(path):
            return None
        record = self._read_record(path)
        if record.key.digest != key.digest:
            what = ", ".join(key.differences(record.key))
            raise BundleError(f"the engine in {path} is of another key: {what}", _rebuild(path))
        plan = _read_file(path / PLAN, record.engine_bytes)
        if len(plan) != record.engine_bytes or hashlib.sha256(plan).hexdigest() != record.engine_sha256:
            raise BundleError(f"{path / PLAN} was altered after it was built", _rebuild(path))
        return CachedEngine(path, record, plan)

    def find_newest(self, key: EngineKey) -> CachedEngine | None:
        """The newest engine that fits a key but for how it was built: what a run takes, whatever the build was told.

        Raises:
            BundleError: As `find`.
        """
        fitting = (record for record in self.entries() if not _built_like(key, record).differences(record.key))
        newest = max(fitting, key=lambda record: record.built_at, default=None)
        return self.find(newest.key) if newest is not None else None

    def explain(self, key: EngineKey, *, however_built: bool = False) -> str:
        """Why there is no engine for a key: what the nearest one has that is not as here.

        Args:
            key: What is asked for.
            however_built: As `find_newest` has it: flags are no difference.
        """
        if os.path.lexists(self.path_of(key)):
            return "there is an engine for this key"
        records = tuple(self.entries())
        if not records:
            broken = self._folders()
            return "none of the engines here is in order" if broken else "no engine was built on this machine yet"
        others = [((_built_like(key, r) if however_built else key).differences(r.key), r) for r in records]
        differences, record = min(others, key=lambda other: _distance(other[0], other[1], key))
        return f"no engine here fits; the nearest, built {record.built_at}, differs: {', '.join(differences)}"

    def store(self, key: EngineKey, plan: bytes, record: EngineRecord) -> CachedEngine:
        """Keeps an engine, in the place of an older one of the same key; it appears complete or not at all.

        Raises:
            BundleError: The record is not of this key or plan, the engine's origin is unknown, the cache is open to
                others, or cannot be written.
        """
        _check_record(key, plan, record)
        path = self.path_of(key)
        self.folder(ENGINES)
        try:
            with atomic_folder(path) as partial:
                _write(partial / PLAN, plan)
                _write(partial / RECORD, record.to_bytes())
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not path.exists():
                raise self._unwritable(error) from error
            logger.info("another process has stored the engine of the same key at the same moment")
        return CachedEngine(path, record, plan)

    def folder(self, name: str) -> Path:
        """A folder of the cache; where it is not there it is made, for this user alone.

        Raises:
            BundleError: It cannot be made, or the cache is open to others.
        """
        path = self.root / name
        try:
            for folder in (self.root, path):
                folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        for folder in (self.root, path):
            _check_owner(folder, folder.lstat(), is_folder=True)
        return path

    def entries(self) -> Iterator[EngineRecord]:
        """Records of all engines that are in order, by their folder's name; the others are logged."""
        for path in self._folders():
            try:
                record = self._read_record(path)
                if record.key.digest[:32] != path.name:
                    raise BundleError(f"{path / RECORD} is the record of another key", _rebuild(path))
            except BundleError as error:
                logger.warning("left out: %s", error.problem)
            else:
                yield record

    def _folders(self) -> list[Path]:
        try:
            return sorted(path for path in (self.root / ENGINES).iterdir() if _ENTRY.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("the engines in %s cannot be listed (%s)", self.root, error.strerror)
            return []

    def _read_record(self, path: Path) -> EngineRecord:
        self._check_folders()
        _check_owner(path, path.lstat(), is_folder=True)
        where = path / RECORD
        try:
            content = _read_file(where, LIMIT_RECORD_BYTES)
            if len(content) > LIMIT_RECORD_BYTES:
                raise ValueError(f"more than {LIMIT_RECORD_BYTES} bytes")
            raw = json.loads(content)
            schema = raw.get("schema") if isinstance(raw, dict) else None
            if isinstance(schema, int) and schema > SCHEMA:
                raise BundleError(f"{where} has schema {schema}, this edge reads {SCHEMA}", "upgrade edge-fusion")
            record = EngineRecord.model_validate(raw)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where} is no record of an engine ({_reason(error)})", _rebuild(path)) from error
        _check_provenance(record, f"the engine in {path}")
        return record

    def _unwritable(self, error: OSError) -> BundleError:
        return BundleError(
            f"engines cannot be kept in {self.root} ({error.strerror})",
            f"make room or mend its permissions, or set {CACHE_VARIABLE} to another folder",
        )

    def _check_folders(self) -> None:
        for folder in (self.root, self.root / ENGINES):
            _check_owner(folder, folder.lstat(), is_folder=True)


def _built_like(key: EngineKey, record: EngineRecord) -> EngineKey:
    return key.model_copy(update={"flags": record.key.flags})


def _check_record(key: EngineKey, plan: bytes, record: EngineRecord) -> None:
    _check_provenance(record, "the engine")
    if record.key.digest != key.digest:
        raise BundleError("the engine's record is of another key", "make the record with the key it is stored under")
    if (record.engine_bytes, record.engine_sha256) != (len(plan), hashlib.sha256(plan).hexdigest()):
        raise BundleError("the engine's record is of another plan", "make the record from the plan")


def _check_provenance(record: EngineRecord, what: str) -> None:
    if record.provenance == "unknown":
        raise BundleError(
            f"{what} came from elsewhere without the signature of a trusted key, and reading a plan can run code",
            "build it here with `edge build`",
        )


def _check_owner(path: Path, found: os.stat_result, *, is_folder: bool) -> None:
    if not (stat.S_ISDIR if is_folder else stat.S_ISREG)(found.st_mode):
        what = "folder" if is_folder else "file"
        raise BundleError(f"{path} is no {what} of its own", "replace links by what they point to, or remove it")
    if found.st_uid != os.geteuid():
        raise BundleError(
            f"{path} belongs to user {found.st_uid}, and engines of others are not run",
            f"build as that user, or set {CACHE_VARIABLE} to a folder of your own",
        )
    if found.st_mode & _OTHERS_WRITE:
        raise BundleError(
            f"others may write {path}, so its engines are not run", f"chmod go-w {path}, then build again"
        )


def _read_file(path: Path, limit: int) -> bytes:
    """A file of the cache, up to one byte beyond the limit; what was checked is what was read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        known = {errno.ENOENT: "is missing", errno.ELOOP: "is a link"}
        problem = known.get(error.errno or 0, f"cannot be read ({error.strerror})")
        raise BundleError(f"{path} {problem}", _rebuild(path.parent)) from error
    with os.fdopen(handle, "rb") as stream:
        _check_owner(path, os.fstat(handle), is_folder=False)
        return stream.read(limit + 1)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(handle)


def _distance(differences: tuple[str, ...], record: EngineRecord, key: EngineKey) -> tuple[bool, int, str]:
    """An engine of the same graph is nearer than any other; then few differences count, then a late build."""
    late_first = "".join(chr(0x7F - ord(character)) for character in record.built_at)
    return record.key.graph_sha256 != key.graph_sha256, len(differences), late_first


def _rebuild(path: Path) -> str:
    return f"remove {path} and build the engine again with `edge build`"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:120]
    return str(error)[:80]
