"""A fusion model to be trained on labels: with random weights, or with encoders that were pretrained."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from edge.compress.parallel.collectives import gather_values
from edge.compress.stages.origin import training_origin
from edge.models.encoders.transformer import pretrained_digests
from edge.models.fusion_model import FusionModel
from edge.training.augmentation.streams import stream_augment
from edge.training.pretraining.kept import keep_pretrained, recall_pretrained
from edge.training.pretraining.running import pretrain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.compress.fitting import OnStep
    from edge.compress.provenance import Origin
    from edge.compress.samples import SampleSet
    from edge.models.fusion_model import FusionModelConfig
    from edge.project import Project
    from edge.training.pretraining.running import PretrainingRecord

logger = logging.getLogger(__name__)


def start_model(
    project: Project,
    widths: FusionModelConfig,
    data: Callable[[], SampleSet],
    folder: Path | None = None,
    fresh: bool = False,
    on_step: OnStep | None = None,
) -> tuple[FusionModel, PretrainingRecord | None]:
    """Builds a model, and pretrains its encoders where the project has a `pretrain`.

    Weights are drawn from torch's global generator, which is left as building alone leaves it.

    Args:
        project: Says how.
        widths: The teacher's or the student's.
        data: Gives the whole training split; called where pretraining needs it.
        folder: Where pretrained encoders are kept and taken from; None keeps none.
        fresh: Whether to pretrain anew whatever lies there.
        on_step: For progress bars.

    Returns:
        The model, and what pretraining did, now or when it was kept; None where there is none.
    """
    model = FusionModel(widths, project.io)
    if project.pretrain is None:
        return model, None
    split = data()
    origin = _origin(project, widths, split)
    with torch.random.fork_rng(devices=[]):
        record = None if folder is None or fresh else _recalled_by_all(folder, model, origin)
        if record is None:
            augment = stream_augment(project.augment, project.io)
            record = pretrain(model, project.io, split, project.pretrain, augment, on_step)
            if folder is not None:
                keep_pretrained(folder, model, origin, record)
        else:
            logger.info("pretrained encoders are taken from %s", folder)
    return model, record


def _recalled_by_all(folder: Path, model: FusionModel, origin: Origin) -> PretrainingRecord | None:
    """Every process takes them, or none does: a disk may show one what it does not show another."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    record = recall_pretrained(folder, model, origin)
    if all(gather_values(record is not None)):
        return record
    model.load_state_dict(before)
    return None


def _origin(project: Project, widths: FusionModelConfig, split: SampleSet) -> Origin:
    """Where nothing is varied, `augment` changes nothing."""
    assert project.pretrain is not None, "the caller has looked"
    settings = project.model_dump(mode="json", by_alias=True, include={"io", "pretrain"})
    settings["pretrain"].pop("student")
    settings["pretrain"]["fit"].pop("log_dir")
    settings |= {"widths": widths.model_dump(mode="json"), "seed": project.train.seed}
    if project.pretrain.augment:
        settings["augment"] = {name: config.model_dump(mode="json") for name, config in project.augment.items()}
    digests = pretrained_digests(widths.encoders)
    settings |= {"weights to start from": digests} if digests else {}
    return training_origin(split, settings)
