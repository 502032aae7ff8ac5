"""What a stage was made from, as digests and settings: equal origins give equal stages, and a change has a name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from edge.compress.learning.config import LATER_KEYS
from edge.compress.provenance import DIGEST, tensors_digest
from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from edge.compress.learning.config import FitConfig
    from edge.compress.provenance import Origin
    from edge.compress.samples import SampleSet
    from edge.compress.stages.stage import StageConfig

# Where a training's log goes changes nothing about it.
_PLACES = {"device", "log_dir"}  # of `fit`: where, and not how
_UNREAD: dict[str, Any] = {"gate": True, "fit": {"log_dir"}, "tune": {"fit": {"log_dir"}}}
_PACKAGES = ("edge-fusion", "torch", "torchao", "onnx", "onnxscript", "onnxruntime", "numpy")


def common_origin(teacher: Mapping[str, Tensor], splits: Iterable[SampleSet], settings: Mapping[str, Any]) -> Origin:
    """What all stages of a run share.

    Args:
        teacher: Its state dict.
        splits: All that is trained, calibrated or measured on; every sample is read.
        settings: JSON of what else the models are built by, such as the student's widths.
    """
    return {
        "the teacher's weights": tensors_digest(teacher),
        **{f"the {split.split} split": split_digest(split) for split in splits},
        **settings,
        "versions": _versions(),
    }


def training_origin(data: SampleSet, settings: Mapping[str, Any]) -> Origin:
    """What a model that is trained from scratch follows from.

    Args:
        data: That it is trained on; every sample is read.
        settings: JSON of its architecture, its training and its seed.
    """
    return {f"the {data.split} split": split_digest(data), **settings, "versions": _versions()}


def origin_of(common: Origin, stages: Iterable[StageConfig], before: Mapping[str, Tensor]) -> Origin:
    """What a stage depends on; gates are left out, for they judge a stage and do not change it.

    Files that a stage reads when it runs (a latency table) count by their content. A plan's file was read with the
    recipe and its rules stand in the config; a calibration set is drawn from a split, which counts sample by sample.

    Args:
        common: From `common_origin`.
        stages: Up to and including this one.
        before: State dict of the model that it starts from.
    """
    stages = tuple(stages)
    configs = {f"stage '{s.name}'": s.model_dump(mode="json", exclude=_UNREAD) for s in stages}
    files = {f"the file of stage '{s.name}'": dict(_file_digests(s)) for s in stages}
    read = {name: digests for name, digests in files.items() if digests}
    return {**common, **configs, **read, "the model of the stage before": tensors_digest(before)}


def stage_seed(config: StageConfig) -> int:
    """Seed of what a stage draws without one of its own: the same whether or not the stages before ran just now.

    Keys of `fit` that came later count only where they say something, so that a recipe draws what it drew before there
    were such keys; where it is trained and logged never counts.
    """
    tune = getattr(config, "tune", None)
    left_out: dict[str, Any] = {
        "gate": True,
        "fit": _unsaid(getattr(config, "fit", None)),
        "tune": {"fit": _unsaid(getattr(tune, "fit", None))},
    }
    content = config.model_dump_json(exclude=left_out)
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")


def _unsaid(fit: FitConfig | None) -> set[str]:
    if fit is None:
        return set()
    return _PLACES | {key for key in LATER_KEYS if getattr(fit, key) == type(fit).model_fields[key].default}


def split_digest(split: SampleSet) -> str:
    """Of the ids, recordings, inputs and targets of a split."""
    names = hashlib.blake2b(repr((split.ids, split.recordings)).encode(), digest_size=16).hexdigest()
    tensors = {f"{i}": tensor for i, tensor in enumerate((*split.inputs, *split.targets))}
    if split.available is not None:
        tensors["available"] = split.available
    return f"{tensors_digest(tensors)}{names}"


def _versions() -> dict[str, str]:
    packages = describe_host().packages
    return {name: packages[name] for name in _PACKAGES if name in packages}


def _file_digests(config: BaseModel, place: str = "") -> Iterator[tuple[str, str]]:
    """Every path among the settings by its dotted name, with the digest of what it holds now."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _file_digests(value, f"{place}{name}.")
        elif isinstance(value, Path) and name != "log_dir":
            yield f"{place}{name}", _file_digest(value)


def _file_digest(path: Path) -> str:
    """A missing file is one more content: the stage that reads it will say so."""
    if not path.is_file():
        return f"{DIGEST}none"
    return DIGEST + hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
