"""Training examples: shapes, repeatability, variety."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime.errors import ConfigError
from edge.runtime.sample import AudioChunk, Image, PointCloud
from edge.runtime.simulate.example import Example, draw_example
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import StreetConfig

GRID, WINDOW = (8, 26), 15_600


def _draw(seed: int, **config: float) -> Example:
    return draw_example(seed, StreetConfig(**config), street_rig(), GRID, WINDOW)  # type: ignore[arg-type]


def test_payloads_and_labels_have_the_contracts_types() -> None:
    example = _draw(0)
    image, cloud, sound = (example.payloads[name] for name in ("camera", "lidar", "audio"))
    assert isinstance(image, Image) and isinstance(cloud, PointCloud) and isinstance(sound, AudioChunk)
    assert image.pixels.shape == (128, 416, 3)
    assert image.pixels.dtype == np.uint8
    assert cloud.points.dtype == np.float32
    assert cloud.points.shape[1] == 4
    assert cloud.time_offset_s is not None and len(cloud.time_offset_s) == len(cloud.points)
    assert np.isfinite(cloud.points).all()
    assert sound.samples.shape == (1, WINDOW)
    assert sound.rate_hz == 16_000
    assert example.grid.classes.shape == example.grid.distance_m.shape == GRID
    assert example.events.heard.shape == (2,)


def test_same_seed_same_example() -> None:
    first, again, other = _draw(7), _draw(7), _draw(8)
    for name, payload in first.payloads.items():
        for field in ("pixels", "points", "samples"):
            if hasattr(payload, field):
                assert np.array_equal(getattr(payload, field), getattr(again.payloads[name], field))
                assert not np.array_equal(getattr(payload, field), getattr(other.payloads[name], field))
    assert np.array_equal(first.grid.classes, again.grid.classes)


def test_every_class_and_event_occurs_often_enough_to_learn() -> None:
    examples = [_draw(seed) for seed in range(80)]
    present = np.mean([[(e.grid.classes == k).any() for k in range(1, 6)] for e in examples], 0)
    events = np.mean([e.events.heard for e in examples], 0)
    assert (present > 0.3).all()
    assert ((events > 0.15) & (events < 0.65)).all()
    distances = np.concatenate([e.grid.distance_m[e.grid.classes > 0] for e in examples])
    assert np.percentile(distances, 1) > 1.0
    assert 3.0 < np.median(distances) < 20.0
    assert np.percentile(distances, 99) < 56.0


def test_hard_cases_follow_the_config() -> None:
    assert all(_draw(seed, night=1).night for seed in range(3))
    assert all(_draw(seed, fog=1).fog for seed in range(3))
    assert not any(_draw(seed, fog=0).fog for seed in range(3))


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="use a seed of 0 or more"):
        draw_example(-3, StreetConfig(), street_rig(), GRID, WINDOW)
