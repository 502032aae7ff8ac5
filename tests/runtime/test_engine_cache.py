"""The engine cache: found by key, checked before use, refused where others could write, explained where absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime import engine_cache
from edge.runtime.engine_cache import EngineCache, cache_root
from edge.runtime.engine_key import EngineKey, EngineRecord, ShapeRange
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = b"a serialized engine" * 100
KEY = EngineKey(
    graph_sha256="1" * 64,
    inputs={"x": ShapeRange.fixed((1, 4))},
    compute_capability="8.7",
    device="Orin Nano 8GB",
    library="tensorrt",
    library_version="10.7.0",
    jetpack="6.2",
    l4t="36.4.3",
    flags={"workspace_mib": 512},
)


def _record(key: EngineKey = KEY, plan: bytes = PLAN, **changes: Any) -> EngineRecord:
    return EngineRecord(
        schema=1,
        key=key,
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        engine_bytes=len(plan),
        built_at="2026-09-30T12:00:00Z",
        build_seconds=61.5,
        peak_build_bytes=700 << 20,
        declared={"int8": 0.9, "fp16": 0.1},
        bundle_id="sha256:" + "3" * 64,
        edge_version="0.1.0",
    ).model_copy(update=changes)


def _other(**changes: Any) -> EngineKey:
    return KEY.model_copy(update=changes)


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "edge")


@pytest.fixture
def stored(cache: EngineCache) -> Path:
    """The folder of an engine that is in order."""
    return cache.store(KEY, PLAN, _record()).path


def test_what_was_stored_is_found(cache: EngineCache) -> None:
    assert cache.find(KEY) is None
    stored = cache.store(KEY, PLAN, _record())
    found = EngineCache(cache.root).find(KEY)
    assert found == stored
    assert found is not None
    assert (found.plan, found.record) == (PLAN, _record())
    assert found.path == cache.root / "engines" / KEY.digest[:32]
    assert sorted(p.name for p in found.path.iterdir()) == ["engine.plan", "record.json"]
    assert cache.find(_other(library_version="10.3.0")) is None


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o000])
def test_what_is_stored_is_its_owners_alone_whatever_the_umask(cache: EngineCache, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = cache.store(KEY, PLAN, _record()).path
    finally:
        os.umask(before)
    for item in (cache.root, cache.root / "engines", path, *path.iterdir()):
        assert not item.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), item
    assert cache.find(KEY) is not None


def test_a_later_engine_replaces_the_earlier(cache: EngineCache, stored: Path) -> None:
    plan = PLAN + b"!"
    cache.store(KEY, plan, _record(plan=plan, built_at="2026-10-01T12:00:00Z"))
    found = cache.find(KEY)
    assert found is not None
    assert found.plan == plan
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((path / "record.json").read_text())
    change(content)
    (path / "record.json").write_text(json.dumps(content))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _link(path: Path) -> None:
    copy = path.parent.parent / "elsewhere"
    shutil.move(path, copy)
    path.symlink_to(copy)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _flag(record: dict[str, Any]) -> None:
    record["key"]["flags"]["workspace_mib"] = 1024


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "plan changed": (lambda p: _flip(p / "engine.plan"), r"engine\.plan was altered"),
    "plan truncated": (lambda p: (p / "engine.plan").write_bytes(PLAN[:-1]), r"engine\.plan was altered"),
    "plan longer": (lambda p: (p / "engine.plan").write_bytes(PLAN + b"!"), r"engine\.plan was altered"),
    "plan missing": (lambda p: (p / "engine.plan").unlink(), r"engine\.plan is missing"),
    "plan a link": (lambda p: _link(p / "engine.plan"), r"engine\.plan is a link"),
    "plan a pipe": (lambda p: _pipe(p / "engine.plan"), "no file of its own"),
    "record missing": (lambda p: (p / "record.json").unlink(), r"record\.json is missing"),
    "record no json": (lambda p: (p / "record.json").write_text("{"), "no record of an engine"),
    "record no text": (lambda p: (p / "record.json").write_bytes(b"\xff"), "no record of an engine"),
    "record a list": (lambda p: (p / "record.json").write_text("[]"), "no record of an engine"),
    "record deep": (lambda p: (p / "record.json").write_text("[" * 100_000), "no record of an engine"),
    "record huge": (lambda p: (p / "record.json").write_bytes(b" " * (2 << 20)), "more than 1048576 bytes"),
    "record newer": (lambda p: _edit(p, lambda r: r.update(schema=2)), "has schema 2, this edge reads 1"),
    "record with more": (lambda p: _edit(p, lambda r: r.update(colour="red")), "colour"),
    "record's digest": (lambda p: _edit(p, lambda r: r.update(engine_sha256="0" * 64)), r"engine\.plan was altered"),
    "record of another key": (
        lambda p: _edit(p, _flag),
        "is of another key: flag workspace_mib: 1024 there, 512 here",
    ),
    "of unknown origin": (lambda p: _edit(p, lambda r: r.update(provenance="unknown")), "came from elsewhere"),
    "folder a link": (_link, "no folder of its own"),
    "folder open": (lambda p: p.chmod(0o777), "others may write"),
    "folder open to a group": (lambda p: p.chmod(0o775), "others may write"),
    "plan open": (lambda p: (p / "engine.plan").chmod(0o666), r"others may write .*engine\.plan"),
    "record open": (lambda p: (p / "record.json").chmod(0o620), r"others may write .*record\.json"),
    "engines open": (lambda p: p.parent.chmod(0o777), "others may write .*engines"),
    "cache open": (lambda p: p.parent.parent.chmod(0o1777), "others may write .*edge"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_in_order_is_refused(cache: EngineCache, stored: Path, fault: str) -> None:
    harm, message = FAULTS[fault]
    harm(stored)
    with pytest.raises(BundleError, match=message):
        cache.find(KEY)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("engines open", "cache open")])
def test_an_engine_that_is_not_in_order_hides_no_other(cache: EngineCache, stored: Path, fault: str) -> None:
    other = _other(device="AGX Orin 64GB")
    cache.store(other, PLAN, _record(other))
    FAULTS[fault][0](stored)
    listed = {record.key.device for record in cache.entries()}
    reads_no_plan = fault.startswith("plan") or fault == "record's digest"
    assert listed == ({other.device, KEY.device} if reads_no_plan else {other.device})
    assert cache.find(other) is not None


@pytest.mark.parametrize("level", range(4))
def test_what_belongs_to_another_user_is_refused(
    cache: EngineCache, stored: Path, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = [cache.root, cache.root / "engines", stored, stored / "engine.plan"][level]
    real, number = os.geteuid(), foreign.stat().st_ino

    class Found:
        def __init__(self, info: os.stat_result) -> None:
            self.st_mode = info.st_mode
            self.st_uid = real + 1 if info.st_ino == number else info.st_uid

    check = engine_cache._check_owner
    monkeypatch.setattr(engine_cache, "_check_owner", lambda path, info, **kind: check(path, Found(info), **kind))  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=f"{foreign} belongs to user {real + 1}, and engines of others are not run"):
        cache.find(KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_that_was_given_away_is_refused(cache: EngineCache, stored: Path) -> None:
    os.chown(stored / "engine.plan", 12345, -1)
    with pytest.raises(BundleError, match="belongs to user 12345"):
        cache.find(KEY)


def test_a_cache_that_is_open_to_others_takes_no_engine(cache: EngineCache) -> None:
    cache.root.mkdir()
    cache.root.chmod(0o777)
    with pytest.raises(BundleError, match="others may write"):
        cache.store(KEY, PLAN, _record())
    assert list((cache.root / "engines").iterdir()) == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (_record(_other(jetpack="6.1")), "record is of another key"),
        (_record(plan=b"another"), "record is of another plan"),
        (_record(provenance="unknown"), "without the signature of a trusted key"),
    ],
)
def test_what_does_not_belong_together_is_not_stored(cache: EngineCache, record: EngineRecord, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        cache.store(KEY, PLAN, record)
    assert not cache.root.exists()


def test_a_signed_engine_is_as_good_as_ones_own(cache: EngineCache) -> None:
    cache.store(KEY, PLAN, _record(provenance="signed"))
    found = cache.find(KEY)
    assert found is not None
    assert found.record.provenance == "signed"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_store_leaves_nothing(cache: EngineCache, failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = engine_cache._write

    def broken(path: Path, content: bytes) -> None:
        if path.name == "record.json":
            raise failure
        write(path, content)

    monkeypatch.setattr(engine_cache, "_write", broken)
    expected = BundleError if isinstance(failure, OSError) else failure
    with pytest.raises(expected, match=r"No space left|^$"):
        cache.store(KEY, PLAN, _record())
    assert list((cache.root / "engines").iterdir()) == []
    assert cache.find(KEY) is None
    assert list(cache.entries()) == []


def test_half_an_engine_of_a_killed_process_is_no_engine(cache: EngineCache, stored: Path) -> None:
    (stored.parent / f".{KEY.digest[:32]}.abc").mkdir()
    (stored.parent / "notes.txt").write_text("mine")
    assert [record.key for record in cache.entries()] == [KEY]


def test_without_any_engine_that_is_the_reason(cache: EngineCache) -> None:
    assert cache.explain(KEY) == "no engine was built on this machine yet"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"library_version": "10.3.0"}, "TensorRT 10.3.0 there, 10.7.0 here"),
        ({"graph_sha256": "2" * 64}, "graph 222222222222 there, 111111111111 here"),
        ({"jetpack": "6.1"}, "JetPack 6.1 there, 6.2 here"),
        ({"flags": {"workspace_mib": 1024}}, "flag workspace_mib: 1024 there, 512 here"),
        (
            {"device": "AGX Orin 64GB", "l4t": "36.4.0"},
            "device AGX Orin 64GB there, Orin Nano 8GB here, Jetson Linux 36.4.0 there, 36.4.3 here",
        ),
    ],
)
def test_the_reason_names_what_the_nearest_engine_has(cache: EngineCache, changes: Any, words: str) -> None:
    key = _other(**changes)
    cache.store(key, PLAN, _record(key))
    assert cache.explain(KEY) == f"no engine here fits; the nearest, built 2026-09-30T12:00:00Z, differs: {words}"
    assert cache.explain(key) == "there is an engine for this key"


def test_an_engine_of_the_same_graph_is_nearest_then_the_fewest_differences_then_the_latest(cache: EngineCache) -> None:
    ordered = [
        (_other(graph_sha256="2" * 64), "2026-12-01T00:00:00Z"),
        (_other(jetpack="6.0", l4t="36.3.0", device="Orin NX 8GB"), "2026-12-01T00:00:00Z"),
        (_other(jetpack="6.1"), "2026-10-01T00:00:00Z"),
        (_other(jetpack="6.0"), "2026-11-01T00:00:00Z"),
    ]
    for key, built_at in ordered:
        cache.store(key, PLAN, _record(key, built_at=built_at))
        assert f"built {built_at}, differs: {', '.join(KEY.differences(key))}" in cache.explain(KEY)


def _store(cache: EngineCache, built_at: str, **changes: Any) -> Path:
    key, plan = _other(**changes), PLAN + built_at.encode()
    return cache.store(key, plan, _record(key, plan, built_at=built_at)).path


def test_a_run_takes_the_newest_engine_however_it_was_built(cache: EngineCache) -> None:
    assert cache.find_newest(KEY) is None
    for hour, mib in ((11, 256), (13, 1024), (12, 512)):
        _store(cache, f"2026-09-30T{hour}:00:00Z", flags={"workspace_mib": mib})
    _store(cache, "2026-12-01T00:00:00Z", library_version="10.3.0")
    _store(cache, "2026-12-01T00:00:00Z", graph_sha256="2" * 64)
    _store(cache, "2026-12-01T00:00:00Z", jetpack=None)
    for asked in (KEY, _other(flags={})):
        found = cache.find_newest(asked)
        assert found is not None
        assert found.record.key.flags == {"workspace_mib": 1024}
        assert found.plan == PLAN + b"2026-09-30T13:00:00Z"
    assert cache.find_newest(_other(device="AGX Orin 64GB")) is None


def test_the_newest_engine_is_checked_like_any_other(cache: EngineCache) -> None:
    """The older one is no way out: that the newest was altered has to be known."""
    _store(cache, "2026-09-30T11:00:00Z", flags={"workspace_mib": 256})
    newest = _store(cache, "2026-09-30T13:00:00Z", flags={"workspace_mib": 1024})
    _flip(newest / "engine.plan")
    with pytest.raises(BundleError, match=r"engine\.plan was altered"):
        cache.find_newest(KEY)
    (newest / "record.json").write_text("{")
    found = cache.find_newest(KEY)
    assert found is not None and found.record.key.flags == {"workspace_mib": 256}


def test_how_an_engine_was_built_is_no_reason_for_a_run(cache: EngineCache) -> None:
    _store(cache, "2026-09-30T11:00:00Z", flags={"workspace_mib": 256, "fp16": True}, library_version="10.3.0")
    asked = _other(flags={})
    assert cache.explain(asked).endswith(
        "10.7.0 here, flag fp16: True there, none here, flag workspace_mib: 256 there, none here"
    )
    assert cache.explain(asked, however_built=True).endswith("differs: TensorRT 10.3.0 there, 10.7.0 here")


def test_engines_that_are_not_in_order_are_not_called_none(cache: EngineCache, stored: Path) -> None:
    (stored / "record.json").write_text("{")
    assert cache.explain(_other(jetpack="6.1")) == "none of the engines here is in order"


def test_folders_of_the_cache_are_their_owners_alone(cache: EngineCache) -> None:
    before = os.umask(0o000)
    try:
        folder = cache.folder("timings")
    finally:
        os.umask(before)
    assert folder == cache.root / "timings" == cache.folder("timings")
    assert {path.stat().st_mode & 0o777 for path in (cache.root, folder)} == {0o700}
    folder.chmod(0o770)
    with pytest.raises(BundleError, match=r"others may write .*timings"):
        cache.folder("timings")
    folder.rmdir()
    folder.symlink_to(cache.root.parent)
    with pytest.raises(BundleError, match="no folder of its own"):
        cache.folder("timings")
    folder.unlink()
    folder.write_text("a file")
    with pytest.raises(BundleError, match=r"engines cannot be kept in .*File exists.*EDGE_CACHE"):
        cache.folder("timings")


def test_the_cache_lies_where_the_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EDGE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / ".cache" / "edge"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == tmp_path / ".cache" / "edge"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "edge"
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    assert EngineCache().root == tmp_path / "own"


def test_a_cache_behind_a_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    EngineCache(tmp_path / "link").store(KEY, PLAN, _record())
    assert EngineCache(tmp_path / "link").find(KEY) is not None
