"""Packed points: layouts, reflectance, point times, and layouts that lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.errors import SampleError
from edge.runtime.sources.point_fields import PointField, PointLayout, PointReader

STAMP = 1_700_002_799_950_000_000  # 50 ms before the top of an hour
XYZ = {"x": PointField(0, "f4"), "y": PointField(4, "f4"), "z": PointField(8, "f4")}


def packed(count: int = 3, **columns: Any) -> tuple[PointLayout, bytes]:
    """Points (n, 2n, 3n) with further columns after them, given as arrays."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    dtype = np.dtype(
        [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), *((n, a.dtype.newbyteorder("<")) for n, a in arrays.items())]
    )
    rows = np.zeros(count, dtype)
    for factor, name in enumerate("xyz", start=1):
        rows[name] = factor * np.arange(count)
    for name, array in arrays.items():
        rows[name] = array
    described = {n: PointField(f[1], f[0].str[1:]) for n, f in dtype.fields.items()}  # type: ignore[union-attr]
    return PointLayout(described, dtype.itemsize, count), rows.tobytes()


def times(stamp_ns: int = STAMP, **columns: Any) -> Any:
    return PointReader().read(*packed(**columns), stamp_ns).time_offset_s


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"t": np.array([0, 50_000_000, 99_000_000], np.uint32)}, [0, 0.05, 0.099]),
        ({"offset_time": np.array([0, 50_000_000, 99_000_000], np.uint32)}, [0, 0.05, 0.099]),
        ({"time": np.array([-0.1, -0.05, 0], np.float32)}, [-0.1, -0.05, 0]),
        ({"time": np.array([-3600.0625, -0.02, 0.03], np.float32)}, [-0.0625, -0.02, 0.03]),
        ({"timestamp": STAMP / 1e9 + np.array([0, 0.05, 0.1])}, [0, 0.05, 0.1]),
        ({"timestamp": (STAMP + np.array([0, 50_000_000, 99_000_000])).astype(np.float64)}, [0, 0.05, 0.099]),
        ({"timestamp": np.array([STAMP, STAMP + 10, STAMP + 99_000_000], np.uint64)}, [0, 1e-8, 0.099]),
        # Velodyne counts from the top of the hour, in seconds or microseconds; the last point is past it.
        ({"timestamp": np.array([3599.95, 3599.97, 0.02])}, [0, 0.02, 0.07]),
        ({"timestamp": np.array([3_599_950_000, 3_599_970_000, 20_000], np.uint32)}, [0, 0.02, 0.07]),
    ],
)
def test_point_times_are_seconds_after_the_stamp(column: dict[str, Any], expected: list[float]) -> None:
    found = times(**column)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=4e-7)


def test_a_clock_that_starts_at_zero_is_no_hour() -> None:
    assert times(5_000_000_000, timestamp=np.array([5.0, 5.05, 5.1])) == pytest.approx([0, 0.05, 0.1], abs=1e-6)


def test_times_of_another_clock_are_left_out_and_noted() -> None:
    reader = PointReader()
    layout, data = packed(timestamp=np.array([77_000.0, 77_000.1, 77_000.2]))
    assert reader.read(layout, data, STAMP).time_offset_s is None
    assert any("another clock" in note for note in reader.notes)


def test_without_times_there_are_none() -> None:
    assert times() is None


@pytest.mark.parametrize(
    ("name", "values", "expected", "scale"),
    [
        ("intensity", np.array([0, 51, 255], np.uint8), [0, 0.2, 1], 255),
        ("intensity", np.array([0, 32768, 65535], np.uint16), [0, 0.5, 1], 65535),
        ("reflectivity", np.array([0, 51, 300], np.uint16), [0, 0.2, 1], 255),
        ("intensity", np.array([0, 0.25, 1], np.float32), [0, 0.25, 1], 1),
        ("intensity", np.array([0, 51, 255], np.float32), [0, 0.2, 1], 255),
        ("intensity", np.array([0, np.nan, 51], np.float32), [0, np.nan, 0.2], 255),
    ],
)
def test_reflectance_is_brought_to_one(name: str, values: Any, expected: list[float], scale: float) -> None:
    reader = PointReader()
    cloud = reader.read(*packed(**{name: values}), STAMP)
    assert cloud.points[:, 3] == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert f"reflectance is {name} / {scale}" in reader.notes
    assert cloud.points[:, :3].tolist() == [[0, 0, 0], [1, 2, 3], [2, 4, 6]]


def test_the_calibrated_reflectance_is_preferred() -> None:
    """Ouster's intensity counts photons, its reflectivity is calibrated."""
    signal = np.array([100, 2000, 9000], np.float32)
    cloud = PointReader().read(*packed(intensity=signal, reflectivity=np.array([0, 51, 255], np.uint16)), STAMP)
    assert cloud.points[:, 3] == pytest.approx([0, 0.2, 1])


def test_the_first_cloud_with_points_settles_the_scale() -> None:
    reader = PointReader()
    layout, data = packed(count=0, intensity=np.zeros(0, np.float32))
    assert reader.read(layout, data, STAMP).points.shape == (0, 4)
    reader.read(*packed(intensity=np.array([0, 100, 200], np.float32)), STAMP)
    dark = reader.read(*packed(intensity=np.array([0, 0.5, 1], np.float32)), STAMP)
    assert dark.points[:, 3] == pytest.approx([0, 0.5 / 255, 1 / 255])


def test_points_that_are_not_finite_pass_through() -> None:
    layout, data = packed()
    rows = np.frombuffer(data, "<f4").reshape(3, 3).copy()
    rows[1] = np.nan
    cloud = PointReader().read(layout, rows.tobytes(), STAMP)
    assert np.isnan(cloud.points[1, :3]).all()
    assert cloud.points[2, :3].tolist() == [2, 4, 6]


@given(
    width=st.integers(0, 4),
    height=st.integers(0, 3),
    point_padding=st.integers(0, 5),
    row_padding=st.integers(0, 7),
    big=st.booleans(),
    double=st.booleans(),
)
def test_any_padding_and_byte_order(
    width: int, height: int, point_padding: int, row_padding: int, big: bool, double: bool
) -> None:
    kind, size = ("f8", 8) if double else ("f4", 4)
    step = 3 * size + point_padding
    row_step = width * step + row_padding
    data = bytearray(b"\xff" * (row_step * height))
    values = np.arange(width * height * 3, dtype=(">" if big else "<") + kind).reshape(height, width, 3)
    for row in range(height):
        for column in range(width):
            at = row * row_step + column * step
            data[at : at + 3 * size] = values[row, column].tobytes()
    fields = {name: PointField(size * n, kind) for n, name in enumerate("xyz")}
    layout = PointLayout(fields, step, width, height, row_step, big)
    points = PointReader().read(layout, bytes(data), STAMP).points
    assert points[:, :3].tolist() == values.reshape(-1, 3).tolist()
    assert points.dtype == np.float32
    assert points.shape == (width * height, 4)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (PointLayout(XYZ, 12, 2**31, 2**31, 2**40), "need"),
        (PointLayout(XYZ, 12, 4), "need 48 bytes, 36 are there"),
        (PointLayout(XYZ, 0, 2**31), "do not fit"),
        (PointLayout(XYZ, 0, 2**31, 2**31), "do not fit"),
        (PointLayout(XYZ, 12, 3, 2, 5), "do not fit rows of 5"),
        (PointLayout(XYZ, 11, 3), "field 'z' does not lie within"),
        (PointLayout({**XYZ, "x": PointField(2**31, "f4")}, 12, 3), "field 'x'"),
        (PointLayout({**XYZ, "x": PointField(0, "f4", 2**31)}, 12, 3), "field 'x'"),
        (PointLayout({"x": XYZ["x"], "y": XYZ["y"]}, 12, 3), "no field z"),
    ],
)
def test_layouts_that_lie_are_refused(layout: PointLayout, message: str) -> None:
    """None of them allocates what it claims."""
    with pytest.raises(SampleError, match=message) as caught:
        PointReader().read(layout, bytes(36), STAMP)
    assert caught.value.remedy
