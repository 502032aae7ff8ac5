"""A task of a text and a table that a tiny transformer learns in seconds, and its compression."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge.compress.fitting import FitConfig, fit
from edge.compress.recipe import Recipe, run_recipe
from edge.compress.samples import SampleSet
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.stage import Artifact, CompressionContext
from edge.models.encoders.adapters import adapted
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.model_io import ModelIO
from edge.training.fusion_task import FusionTask

LENGTH, FIELDS, CLASSES, WORDS = 8, 4, 3, 20
TELLING = 10  # ids from here on name a class; those below are filling
FITTING: dict[str, Any] = {"batch_size": 32, "learning_rate": 3e-3, "precision": "float32"}


def ward_io() -> ModelIO:
    return ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [
                {
                    "feature": "tokens",
                    "tensor": "report",
                    "stream": "report",
                    "shape": [1, LENGTH],
                    "tokenizer": "tokenizer.json",
                    "vocabulary": WORDS,
                },
                {
                    "feature": "tensor",
                    "tensor": "labs",
                    "stream": "labs",
                    "shape": [1, FIELDS],
                    "fields": [f"f{i}" for i in range(FIELDS)],
                    "mean": [0.0] * FIELDS,
                    "std": [1.0] * FIELDS,
                },
                {"feature": "present", "streams": ["report", "labs"]},
            ],
            "outputs": [{"decoder": "softmax", "tensor": "ward", "classes": ["a", "b", "c"]}],
        }
    )


def ward_config(hidden: int, **text: Any) -> FusionModelConfig:
    return FusionModelConfig.model_validate(
        {
            "encoders": {
                "report": {"kind": "text", "hidden": hidden, "layers": 1, "heads": 4, "dropout": 0.0, **text},
                "labs": {"kind": "table", "hidden": [hidden]},
            },
            "fusion": {"channels": 32},
        }
    )


def ward_samples(split: str, count: int, seed: int) -> SampleSet:
    """One token of a text names the class, at any place; the table shows it, less clearly. Texts differ in length."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(CLASSES, (count,), generator=generator)
    ids = torch.randint(1, TELLING, (count, LENGTH), generator=generator)
    lengths = torch.randint(2, LENGTH + 1, (count,), generator=generator)
    places = (torch.rand(count, generator=generator) * lengths).long()
    ids[torch.arange(count), places] = TELLING + classes
    ids = ids * (torch.arange(LENGTH) < lengths[:, None])
    labs = torch.randn(count, FIELDS, generator=generator)
    labs[torch.arange(count), classes] += 2.0
    names = tuple(f"{split}-{i}" for i in range(count))
    return SampleSet(split, names, names, (ids, labs), (classes,))


def measurer() -> StageMeasurer:
    """Validation and test split of that task."""
    splits = ward_samples("validation", 64, 2), ward_samples("test", 64, 3)
    return StageMeasurer(FusionTask(ward_io()), *splits, ("report", "labs", "present"), ("ward",))


def trained_teacher(train: SampleSet, epochs: int = 6, **text: Any) -> FusionModel:
    torch.manual_seed(0)
    model, task = FusionModel(ward_config(32, **text), ward_io()), FusionTask(ward_io())
    with adapted(model):
        fit(model, train, lambda x, y: task.loss(model(*x), y), FitConfig(epochs=epochs, **FITTING))
    return model


def compressed(stages: list[dict[str, Any]], train: SampleSet, teacher: nn.Module, **text: Any) -> list[MeasuredStage]:
    """The measured teacher and every stage; the student's text encoder has the keys `text`."""
    measure = measurer()
    context = CompressionContext(
        task=measure.task,
        train=train,
        teacher=teacher,
        build_student=lambda: FusionModel(ward_config(16, **text), ward_io()),
        adapted=adapted,
        validation=measure.validation,
    )
    first = measure(Artifact("teacher", teacher), None, 0.0, None)
    return [first, *run_recipe(Recipe.model_validate({"stages": stages}), first, context, measure)]
