from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.calibration.cache import RangeKey, RangeMethod, load_ranges, save_ranges
from edge.calibration.tensor_range import TensorRange
from edge.runtime.errors import DataError

KEY = RangeKey(model="a" * 64, data="b" * 64, method=RangeMethod(observer="mse", percentile=99.9).digest)


def ranges() -> dict[str, TensorRange]:
    generator = np.random.default_rng(0)
    found = {}
    for name in ("encoder.0", "head/relu_1"):
        values = generator.normal(size=(5, 100)).astype(np.float32)
        found[name] = TensorRange()
        found[name].histogram.add(values)
        found[name].add_peaks(2, np.abs(values).max(1))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_ranges(tmp_path / "ranges", KEY, ranges())
    return tmp_path / "ranges"


def test_what_was_saved_comes_back(folder: Path) -> None:
    loaded = load_ranges(folder, KEY)
    assert list(loaded) == list(ranges())
    for name, found in ranges().items():
        assert np.array_equal(loaded[name].histogram.counts, found.histogram.counts)
        assert loaded[name].histogram.largest == found.histogram.largest
        assert loaded[name].peaks == found.peaks
        assert loaded[name].ceiling("entropy") == found.ceiling("entropy")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "c" * 64}, r"another model \(aaaaaaaa, now cccccccc\)"),
        ({"data": "c" * 64}, r"another calibration set \(bbbbbbbb, now cccccccc\)"),
        ({"method": RangeMethod(observer="mse", percentile=99.8).digest}, "another method"),
        ({"model": "c" * 64, "data": "d" * 64}, "another model .* and of another calibration set"),
    ],
)
def test_stale_ranges_are_refused_with_what_differs(folder: Path, changed: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=f"stale: they are of {words}.*find the ranges again"):
        load_ranges(folder, KEY.model_copy(update=changed))


@pytest.mark.parametrize("name", ["ranges.json", "ranges.npz"])
def test_damaged_and_missing_files_are_named(folder: Path, name: str) -> None:
    path = folder / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match=r"ranges"):
        load_ranges(folder, KEY)
    path.unlink()
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        load_ranges(folder, KEY)


def test_every_flipped_byte_of_the_arrays_is_refused(folder: Path) -> None:
    path = folder / "ranges.npz"
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match="does not match its digest"):
            load_ranges(folder, KEY)


def test_arrays_that_the_manifest_does_not_describe_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "ranges.json").read_text())
    manifest["tensors"].append("one.more")
    (folder / "ranges.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"ranges\.npz does not hold"):
        load_ranges(folder, KEY)


def test_the_method_digest_sees_every_field() -> None:
    base = RangeMethod(observer="mse", percentile=99.9)
    others: list[dict[str, object]] = [{"observer": "entropy"}, {"percentile": 99.99}, {"keep_float": ("head",)}]
    assert len({base.digest, *(base.model_copy(update=o).digest for o in others)}) == 4
