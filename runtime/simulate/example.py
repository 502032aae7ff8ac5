"""One labelled sample as the synchronizer would deliver it: what training draws by the thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud
from edge.runtime.simulate.labels import EventLabels, GridLabels, label
from edge.runtime.simulate.sensors import STAMP_JITTER_S, sensors_of
from edge.runtime.simulate.street import Street, StreetConfig

if TYPE_CHECKING:
    from edge.runtime.rig import Rig

_LONGEST_DRIVE_S = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Payloads and truth of one anchor.

    Attributes:
        seed: Of its street; equal seeds mean the same recording.
        payloads: `camera` (Image), `lidar` (PointCloud), `audio` (AudioChunk: the window that ends at the
            anchor).
        grid: Objects and distances over the camera's image, at the anchor's stamp.
        events: What is heard in the window.
        night: Whether it is dark.
        fog: Whether there is fog.
    """

    seed: int
    payloads: dict[str, Payload]
    grid: GridLabels
    events: EventLabels
    night: bool
    fog: bool


def draw_example(seed: int, config: StreetConfig, rig: Rig, grid: tuple[int, int], window_samples: int) -> Example:
    """A random instant of the street that `seed` makes; the same for the same arguments.

    The camera's frame is off the anchor by up to half its period and by the jitter of the stamps, as in a run.

    Args:
        seed: Not negative.
        config: What is likely in the street.
        rig: Streams `camera`, `lidar` (the anchor) and `audio`.
        grid: Rows and columns of label cells over the image.
        window_samples: Length of the audio window.

    Raises:
        RigError: The simulator cannot render that rig.
        ConfigError: The seed is negative, or the window empty.
    """
    sensors = sensors_of(rig)
    street, rng = Street(seed, config), np.random.default_rng((seed, 8))
    t_s = float(rng.uniform(2.0, _LONGEST_DRIVE_S))
    off_s = rng.uniform(-0.5, 0.5) / rig.stream("camera").rate_hz + rng.normal(0, STAMP_JITTER_S["camera"])
    t_audio_s = t_s + rng.normal(0, STAMP_JITTER_S["audio"])
    window = sensors.microphone.window(street, t_audio_s, window_samples)
    payloads: dict[str, Image | PointCloud | AudioChunk] = {
        "camera": sensors.camera.render(street.snapshot_at(t_s + off_s)),
        "lidar": sensors.lidar.sweep(street.snapshot_at(t_s)),
        "audio": AudioChunk(window, sensors.microphone.rate_hz),
    }
    truth = label(sensors, street, t_s, grid, window_samples)
    return Example(
        seed,
        dict(payloads),
        truth.grid,
        truth.events,
        street.surroundings.night,
        bool(np.isfinite(street.surroundings.fog_m)),
    )
