"""Rigs: geometry, defaults, and files that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from edge.runtime.errors import RigError
from edge.runtime.rig import Intrinsics, Rig, load_rig
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from pathlib import Path


def content() -> dict[str, Any]:
    dumped: dict[str, Any] = street_rig().model_dump(mode="json", by_alias=True)
    return dumped


def test_a_written_rig_reads_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(content()))
    assert load_rig(path) == street_rig()


def test_scaled_intrinsics_keep_pixel_edges() -> None:
    lens = Intrinsics(width=100, height=50, fx=80, fy=80, cx=49.5, cy=24.5)
    half = lens.scaled(50, 25)
    assert (half.fx, half.fy) == (40, 40)
    assert (half.cx, half.cy) == (24.5, 12.0)  # the image's centre stays its centre: (50 - 1) / 2


def test_transforms_invert_each_other() -> None:
    rig = street_rig()
    there, back = rig.transform("camera", "lidar"), rig.transform("lidar", "camera")
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


def broken(**changes: Any) -> dict[str, Any]:
    rig = content()
    for path, value in changes.items():
        *parents, key = path.split("__")
        inner = rig
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
    return rig


@pytest.mark.parametrize(
    ("rig", "named"),
    [
        (broken(anchor="radar"), "radar"),
        (broken(streams__camera__intrinsics=None), "intrinsics"),
        (broken(streams__audio__sample_rate_hz=None), "sample_rate_hz"),
        (broken(streams__lidar__rate_hz=0), "rate_hz"),
        (broken(streams__lidar__rate_hz=float("nan")), "rate_hz"),
        (broken(streams__lidar__colour="red"), "colour"),
        (broken(streams__camera__intrinsics__fx=-1), "fx"),
        (broken(streams__camera__intrinsics__distortion={"model": "plumb_bob", "coefficients": [0.1]}), "plumb_bob"),
        (broken(streams__lidar__T_base_from_sensor=[[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), "lidar"),
        (broken(streams__lidar__T_base_from_sensor=[[1, 0], [0, 1]]), "T_base_from_sensor"),
        ([1, 2], "rig"),
    ],
)
def test_a_wrong_rig_is_refused_by_its_key(tmp_path: Path, rig: object, named: str) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(rig))
    with pytest.raises(RigError, match=named):
        load_rig(path)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"absent\.yaml"):
        load_rig(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(RigError, match="not YAML"):
        load_rig(tmp_path / "bad.yaml")


def test_an_unknown_stream_lists_what_there_is() -> None:
    with pytest.raises(RigError, match="audio, camera, lidar"):
        street_rig().stream("radar")
    with pytest.raises(RigError, match="no camera"):
        Rig.intrinsics(street_rig(), "lidar")
