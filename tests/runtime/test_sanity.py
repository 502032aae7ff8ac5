"""Samples that no model should see are named by reason."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Reading, Sample
from edge.runtime.sanity import refusal
from edge.runtime.simulate.rig import street_rig

GOOD = np.full((128, 416, 3), 90, np.uint8)
POINT = np.array([[10, 1, 0, 0.5]], np.float32)
NAN = np.array([[np.nan] * 4], np.float32)
SOUND = np.full((1, 320), 0.1, np.float32)


@pytest.fixture(scope="module")
def rig() -> Rig:
    street = street_rig()
    table = Stream(kind="table", rate_hz=1, fields=("t",))
    return street.model_copy(update={"streams": {**street.streams, "room": table}})


@pytest.mark.parametrize(
    ("stream", "payload", "reason"),
    [
        ("camera", Image(GOOD), ""),
        ("camera", Image(GOOD[..., 0], "mono8"), ""),
        ("camera", Image(GOOD[:-1]), "wrong_size"),
        ("camera", Image(GOOD[..., :2]), "wrong_size"),
        ("camera", Image(GOOD[..., 0]), "wrong_size"),
        ("camera", Image(GOOD.astype(np.float32)), "wrong_size"),
        ("camera", Image(np.zeros_like(GOOD)), "empty"),
        ("camera", PointCloud(POINT), "wrong_kind"),
        ("lidar", PointCloud(POINT), ""),
        ("lidar", PointCloud(np.concatenate([POINT, NAN])), ""),
        ("lidar", PointCloud(NAN), "empty"),
        ("lidar", PointCloud(POINT[:0]), "empty"),
        ("lidar", PointCloud(POINT[:, :3]), "wrong_size"),
        ("audio", AudioChunk(SOUND, 16_000), ""),
        ("audio", AudioChunk(np.zeros_like(SOUND), 16_000), ""),  # silence is sound
        ("audio", AudioChunk(SOUND, 8_000), "wrong_size"),
        ("audio", AudioChunk(SOUND[:, :0], 16_000), "empty"),
        ("audio", AudioChunk(SOUND * np.inf, 16_000), "not_finite"),
        ("room", Reading(np.array([1], np.float32), ("t",)), ""),
        ("room", Reading(np.array([np.nan], np.float32), ("t",)), "not_finite"),
    ],
)
def test_reason(rig: Rig, stream: str, payload: Payload, reason: str) -> None:
    assert refusal(Sample(stream, 0, 0, 0, payload), rig) == reason
