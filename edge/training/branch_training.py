"""Training on labels with more than the fused answer: branches that are aligned, and that answer alone as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.training.alignment import AlignmentLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.compress.learning.optimization import Objective
    from edge.compress.scoring.task import Task
    from edge.models.fusion_model import FusionModel
    from edge.training.alignment import AlignmentConfig


def supervised(
    model: FusionModel, task: Task, alignment: AlignmentConfig | None = None, unimodal: float = 0.0
) -> tuple[nn.Module, Objective]:
    """What `fit` trains, and its objective: the fused answer's loss, and what else of `BranchTraining` is asked for.

    Raises:
        ConfigError: The alignment does not fit the model's modalities.
    """
    if alignment is None and not unimodal:
        return model, lambda inputs, targets: task.loss(model(*inputs), targets)
    trained = BranchTraining(model, task, alignment, unimodal)
    return trained, trained


class BranchTraining(nn.Module):
    """A fusion model with what its branches are trained by beside the fused answer; each encoder runs once.

    - Aligned: projection heads are trained along with it, and thrown away afterwards.
    - Alone: each sample is answered once more by each of its modalities, which costs a pass of fusion and heads. A
      fusion that has learned to lean on one modality gives the others little to learn from (Wang et al. 2020, *What
      Makes Training Multi-Modal Classification Networks Hard?*); here every branch has the whole label to itself.

    Args:
        model: Trained in place.
        task: Its loss on labels.
        alignment: What is aligned; None for nothing.
        unimodal: Weight of the answers by one modality each, where that by all of them has 1.

    Raises:
        ConfigError: The alignment does not fit the model's modalities.
    """

    def __init__(
        self, model: FusionModel, task: Task, alignment: AlignmentConfig | None = None, unimodal: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self._task, self._unimodal = task, unimodal
        channels = {s: int(model.branches[s].out_channels) for s in model.modalities}  # type: ignore[arg-type]
        self.alignment = None if alignment is None else AlignmentLoss(alignment, channels)

    def forward(self, inputs: tuple[Tensor, ...], targets: Sequence[Tensor]) -> Tensor:
        """The whole loss of a batch, a mean over its samples.

        Args:
            inputs: What the model takes, `present` last.
            targets: Of the task.
        """
        present = inputs[-1]
        features = self.model.branch_features(*inputs)
        loss = self._answered(features, present, targets)
        return loss if self.alignment is None else loss + self._apart(features, present)

    def _answered(self, features: list[Tensor], present: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Of the answers by all modalities and by each alone, in one pass: batch statistics are those of both."""
        if not self._unimodal:
            return self._task.loss(self.model.answers(self.model.fuse(features, present)), targets)
        count, rows = len(present), [_companions(present, i) for i in range(present.shape[1])]
        again = torch.cat(rows)
        repeated = torch.cat([torch.arange(count, device=present.device), again])
        asked = torch.cat([present, *(_only(i, len(found), present) for i, found in enumerate(rows))])
        outputs = self.model.answers(
            self.model.fuse([self._shown(i, f, repeated, asked) for i, f in enumerate(features)], asked)
        )
        loss = self._task.loss([o[:count] for o in outputs], targets)
        if len(again):
            alone = self._task.loss([o[count:] for o in outputs], [t[again] for t in targets])
            loss = loss + self._unimodal * len(again) / count * alone
        # Divided by what does not depend on the batch, so that processes which share one agree.
        return loss / (1.0 + self._unimodal * present.shape[1])

    def _shown(self, place: int, features: Tensor, rows: Tensor, asked: Tensor) -> Tensor:
        """A branch's features where it is asked, its placeholder, if it has one, where it is not."""
        placeholder: Tensor | None = self.model.branches[self.model.modalities[place]].placeholder  # type: ignore[assignment]
        repeated = features[rows]
        if placeholder is None:
            return repeated
        return torch.where(asked[:, place].reshape(-1, 1, 1, 1) > 0, repeated, placeholder)

    def _apart(self, features: list[Tensor], present: Tensor) -> Tensor:
        assert self.alignment is not None, "asked for by forward"
        maps = dict(zip(self.model.modalities, features, strict=True))
        there = dict(zip(self.model.modalities, present.unbind(1), strict=True))
        return torch.stack(list(self.alignment(maps, there).values())).sum()


def _companions(present: Tensor, place: int) -> Tensor:
    """Rows that have this modality and another one; alone it was asked for already."""
    return ((present[:, place] > 0) & (present.sum(1) > 1)).nonzero().flatten()


def _only(place: int, count: int, like: Tensor) -> Tensor:
    """`present` of `count` samples that are seen with one modality, float32 `[count, modalities]`."""
    present = like.new_zeros(count, like.shape[1])
    present[:, place] = 1
    return present
