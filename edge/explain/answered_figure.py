"""The one number of an answer whose causes are sought, and the model as a function that gradients flow through."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.runtime.errors import ModelError
from edge.runtime.model_io import GridOutput, PresentInput, SoftmaxOutput, TokensInput
from edge.training.fusion_task import OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from edge.models.fusion_model import FusionModel
    from edge.runtime.model_io import ModelIO, Output, SensorInput


class AnsweredFigure:
    """`forward` of floats: the logit of what the model answered, by tensors that have gradients.

    Texts enter as the embeddings of their tokens; which tokens they are is kept beside, for the attention mask.

    Args:
        model: In eval mode.
        model_io: Its tensors.

    Raises:
        ModelError: A text's encoder has no embedding layer of its vocabulary.
    """

    def __init__(self, model: FusionModel, model_io: ModelIO) -> None:
        self._model, self._outputs = model, model_io.outputs
        self.items: tuple[SensorInput, ...] = tuple(i for i in model_io.inputs if not isinstance(i, PresentInput))
        self.embeddings = {i.stream: _embedding(model, i) for i in self.items if isinstance(i, TokensInput)}

    def enter(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What gradients are taken by: the tensors as they are, and of texts the embeddings of their tokens."""
        return tuple(self._entered(item, x) for item, x in zip(self.items, inputs, strict=True))

    def __call__(self, *tensors: Tensor) -> Tensor:
        """`[B]`: takes what `enter` gives, then the token tensors of texts, `present`, and what was answered."""
        count = len(self.items)
        entered, tokens = tensors[:count], list(tensors[count:-2])
        present, answered = tensors[-2:]
        embedded = {i.stream: x for i, x in zip(self.items, entered, strict=True) if i.stream in self.embeddings}
        modalities = [tokens.pop(0) if i.stream in embedded else x for i, x in zip(self.items, entered, strict=True)]
        with self._replaced(embedded):
            outputs = self._model(*modalities, present)
        return (self.logits(outputs) * answered).sum(1)

    def logits(self, outputs: Sequence[Tensor]) -> Tensor:
        """`[B, logits]` of all outputs side by side."""
        return torch.cat([tensors[0].flatten(1) for _, tensors in self._parts(outputs)], 1)

    def answered(self, outputs: Sequence[Tensor]) -> Tensor:
        """Weights `[B, logits]` that make of the logits the figure that is explained.

        Of a softmax the class that was answered; of events the mean of those that were, or the most probable one; of
        a grid the mean over cells with an object of their best class, or of the cell that is nearest to one.
        """
        return torch.cat([_weights(output, tensors[0]) for output, tensors in self._parts(outputs)], 1)

    def _parts(self, outputs: Sequence[Tensor]) -> Iterator[tuple[Output, Sequence[Tensor]]]:
        at = 0
        for output in self._outputs:
            end = at + len(OUTPUT_KINDS[output.decoder])
            yield output, outputs[at:end]
            at = end

    def _entered(self, item: SensorInput, x: Tensor) -> Tensor:
        if item.stream not in self.embeddings:
            return x
        found: Tensor = self.embeddings[item.stream](x).detach()
        return found

    @contextmanager
    def _replaced(self, embedded: dict[str, Tensor]) -> Iterator[None]:
        """While the body runs, embedding layers answer with what is given."""
        hooks = [
            self.embeddings[s].register_forward_hook(lambda *_, given=given: given) for s, given in embedded.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _embedding(model: FusionModel, item: TokensInput) -> nn.Module:
    for module in model.branches[item.stream].modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == item.vocabulary:
            return module
    raise ModelError(
        f"the encoder of '{item.stream}' has no embedding layer of {item.vocabulary} tokens",
        "explain it without gradients: --gradients 0",
    )


def _weights(output: Output, logits: Tensor) -> Tensor:
    if isinstance(output, SoftmaxOutput):
        return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
    if isinstance(output, GridOutput):
        chance = logits.softmax(1)
        best = chance[:, 1:].max(1, keepdim=True).values
        chosen = (chance == best) & (best >= output.threshold)
        chosen[:, 0] = False
        ranked = chance.clone()
        ranked[:, 0] = -1.0
        return _mean_of_chosen(chosen.flatten(1), ranked.flatten(1))
    threshold = getattr(output, "threshold", 0.5)
    return _mean_of_chosen(logits.sigmoid() >= threshold, logits)


def _mean_of_chosen(chosen: Tensor, ranked: Tensor) -> Tensor:
    nearest = torch.zeros_like(ranked).scatter_(1, ranked.argmax(1, keepdim=True), 1.0) > 0
    chosen = torch.where(chosen.any(1, keepdim=True), chosen, nearest)
    return chosen.float() / chosen.sum(1, keepdim=True)
