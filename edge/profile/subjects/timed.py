"""A subject as scenarios and comparisons see it, whatever it was opened from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from edge.run_engine import EngineChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge.profile.contents import LayerTime, Subject


class SubjectConfig(BaseModel):
    """How what is timed is opened.

    Attributes:
        engine: What runs a bundle; other subjects have one engine each.
        dialect: Of a bundle's graph; what suits the host where it is not given.
        threads: Of an engine on the CPU.
        device: Index of the CUDA device.
        shapes: Of inputs whose extents the model leaves open.
        batch: First extent of inputs that leave it open.
        sources: A bundle's samples, in the words of `edge run --source`; a simulated drive where there are none.
        seed: Of random inputs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: EngineChoice = "auto"
    dialect: str | None = None
    threads: int = Field(1, ge=1)
    device: int = Field(0, ge=0)
    shapes: dict[str, tuple[int, ...]] = {}
    batch: int = Field(1, ge=1)
    sources: tuple[str, ...] = ()
    seed: int = Field(0, ge=0)


def _no_layers(rounds: int) -> tuple[LayerTime, ...]:
    return ()


def _no_stages(last: int) -> dict[str, NDArray[np.int64]]:
    return {}


@dataclass(frozen=True)
class TimedSubject:
    """One model, loaded, with the inputs that it is timed on.

    Attributes:
        subject: What the profile says of it.
        run: One inference; of a bundle's road, one sample from payloads to detections.
        batch: Samples of one `run`.
        source: What the inputs are.
        threads: Settings that the machine's state records.
        side_by_side: Whether `run` may be called by several threads at once.
        layers: Times each layer over so many rounds, in a session of its own; empty where the engine cannot tell.
        stages_ns: Durations of the last so many runs by stage; empty where there is one stage only.
        notes: For the reader.
        close: Lets go of a device.
    """

    subject: Subject
    run: Callable[[], object]
    batch: int = 1
    source: str = "random"
    threads: Mapping[str, int | str] = field(default_factory=dict)
    side_by_side: bool = False
    layers: Callable[[int], tuple[LayerTime, ...]] = _no_layers
    stages_ns: Callable[[int], dict[str, NDArray[np.int64]]] = _no_stages
    notes: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None
