"""How well a quantized graph agrees with its float one on samples that have no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.compress.onnx_model.input_samples import InputSamples

_SEQUENCE = 3  # dimensions of what gives one decision a token, its classes last


class OutputAgreement(BaseModel):
    """One output of two graphs over the same samples.

    Attributes:
        output: Its name.
        decisions: How many decisions were compared: largest values along the classes, or whole numbers; 0 where the
            output has only one value a place and so decides nothing.
        agreement: Share of the decisions that are equal; None without any.
        sqnr_db: Power of the float values over that of the difference; None where nothing differs, or for whole
            numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str
    decisions: int
    agreement: float | None
    sqnr_db: float | None


def output_agreement(
    reference: bytes, candidate: bytes, dialect: str, samples: InputSamples
) -> tuple[OutputAgreement, ...]:
    """Runs both graphs on each sample and compares every output.

    The classes of `[1, C]` and of maps `[1, C, H, W]` lie on axis 1, those of sequences `[1, T, C]` on the last.

    Args:
        reference: The float graph.
        candidate: The quantized one, with the same inputs and outputs.
        dialect: Of the quantized one, which decides whether this host must emulate it.
        samples: To compare on.

    Raises:
        ModelError: A graph does not load or run.
    """
    engines = OnnxRuntimeEngine(reference), OnnxRuntimeEngine(candidate, dialect)
    tallies: dict[str, _Tally] = {}
    for index in range(len(samples)):
        feed = samples.feed(index)
        expected, found = (engine.run(feed) for engine in engines)
        for name, values in expected.items():
            tallies.setdefault(name, _Tally()).add(np.asarray(values), np.asarray(found[name]))
    return tuple(tally.result(name) for name, tally in tallies.items())


class _Tally:
    def __init__(self) -> None:
        self.same = self.decisions = 0
        self.signal = self.noise = 0.0
        self.whole = False

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        self.whole = expected.dtype.kind != "f"
        if self.whole:
            self._decide(expected, found)
            return
        self.signal += float(np.square(expected, dtype=np.float64).sum())
        self.noise += float(np.square(expected.astype(np.float64) - found).sum())
        axis = -1 if expected.ndim == _SEQUENCE else 1
        if expected.ndim > 1 and expected.shape[axis] > 1:
            self._decide(expected.argmax(axis), found.argmax(axis))

    def _decide(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        self.same += int((expected == found).sum())
        self.decisions += expected.size

    def result(self, name: str) -> OutputAgreement:
        ratio = None if self.whole or not self.noise else 10 * np.log10(max(self.signal, 1e-30) / self.noise)
        share = self.same / self.decisions if self.decisions else None
        return OutputAgreement(
            output=name,
            decisions=self.decisions,
            agreement=share,
            sqnr_db=None if ratio is None else float(ratio),
        )
