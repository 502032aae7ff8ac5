"""The ranges of a model's activations on many samples, before anything is quantized: one pass, no gradients."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from edge.calibration.cache import RangeKey, RangeMethod
from edge.calibration.sample_tails import SampleRanges, SampleTails
from edge.calibration.tensor_range import TensorRange
from edge.compress.quantize.observation import observe, observed_tensors
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.pt2e import export_float
from edge.compress.quantize.tracing import quiet
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from edge.calibration.dataset import CalibrationSet
    from edge.compress.quantize.config import QuantizeConfig

    Batches = Iterable[tuple[NDArray[np.generic], ...]]


class RangeFinder:
    """A float model with an observer on every tensor that will be INT8.

    Args:
        model: Float module with positional tensor inputs, batch first; left as it is.
        example_inputs: One tensor per input, any batch of one or more.
        config: How the model will be quantized.
        inputs: Names of the model's inputs, for messages and reports.

    Attributes:
        method: What of the config decides on scales.
        model_digest: SHA-256 over the graph that is observed and its weights.
        whole: Ranges on the samples of the last `by_sample`; empty before.

    Raises:
        ModelError: The model does not export; the message names the layer.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: tuple[Tensor, ...],
        config: QuantizeConfig,
        inputs: Sequence[str] = (),
    ) -> None:
        self._inputs = tuple(inputs)
        self.whole: dict[str, TensorRange] = {}
        self.method = RangeMethod(
            observer=config.observer, percentile=config.percentile, keep_float=tuple(config.keep_float)
        )
        exported = export_float(model, example_inputs, config.max_batch)
        with quiet(), torch.no_grad():
            quantizer = PlacementQuantizer(config.keep_float, config.observer, config.percentile)
            self._graph: GraphModule = prepare_pt2e(exported, quantizer)
        self._watched = observed_tensors(self._graph, self._inputs)
        self.model_digest = _digest(self._graph)

    def key(self, calibration: CalibrationSet) -> RangeKey:
        """What the ranges on this set depend on."""
        return RangeKey(model=self.model_digest, data=calibration.digest, method=self.method.digest)

    def ranges(self, batches: Batches, ids: Sequence[str] = ()) -> dict[str, TensorRange]:
        """Ranges by tensor (`observed_tensors` says how they are called), in the graph's order.

        Args:
            batches: Inputs, `[B, ...]` each, in the order of the model's.
            ids: Of the samples, for messages.

        Raises:
            DataError: There is no sample, or an activation is NaN or infinite; the message names layer and sample.
        """
        self._run(batches, ids, None)
        return {name: observer.range for name, observer in self._watched.items()}

    def by_sample(self, batches: Batches, count: int) -> tuple[list[SampleRanges], RangeMethod]:
        """The same sample by sample, for a choice of samples by ranges; and the method, which it depends on.

        Args:
            batches: As for `ranges`.
            count: Samples in all of them.
        """
        self._run(batches, (), count)
        self.whole = {name: observer.range for name, observer in self._watched.items()}
        found = []
        for observer in self._watched.values():
            assert observer.tails is not None
            ceiling = observer.range.ceiling(self.method.observer, self.method.percentile)
            peaks = observer.range.sample_peaks()
            found.append(SampleRanges(peaks, observer.tails.counts, observer.tails.edges, ceiling))
        return found, self.method

    def _run(self, batches: Batches, ids: Sequence[str], tails: int | None) -> None:
        for observer in self._watched.values():
            observer.range = TensorRange()
            observer.tails = None if tails is None else SampleTails(tails)
        if not observe(self._graph, _tensors(batches), ids, inputs=self._inputs):
            raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")


def _tensors(batches: Batches) -> Iterable[tuple[Tensor, ...]]:
    return (tuple(torch.from_numpy(values) for values in batch) for batch in batches)


def _digest(graph: GraphModule) -> str:
    digest = hashlib.sha256()
    for node in graph.graph.nodes:
        digest.update(f"{node.op} {node.name} {node.target} {node.args} {node.kwargs}\n".encode())
    for name, values in graph.state_dict().items():
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
