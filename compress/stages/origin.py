"""What a stage was made from, as digests and settings: equal origins give equal stages, and a change has a name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel

from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.stages.stage import StageConfig

# JSON of everything that a stage depends on.
Origin = dict[str, Any]
_PACKAGES = ("edge-fusion", "torch", "torchao", "onnx", "onnxscript", "onnxruntime", "numpy")
_DIGEST = "digest:"
_READABLE = 40  # characters of a value that a message has room for


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
    configs = {f"stage '{s.name}'": s.model_dump(mode="json", exclude={"gate"}) for s in stages}
    files = {f"the file of stage '{s.name}'": dict(_file_digests(s)) for s in stages}
    read = {name: digests for name, digests in files.items() if digests}
    return {**common, **configs, **read, "the model of the stage before": tensors_digest(before)}


def first_change(saved: Origin, now: Origin) -> str | None:
    """Names the first setting that differs, with both values where they can be read; None where nothing does."""
    was, current = dict(_leaves(saved)), dict(_leaves(now))
    for key in dict.fromkeys((*current, *was)):
        if key not in was:
            return f"{key} is new"
        if key not in current:
            return f"{key} is gone"
        if was[key] != current[key]:
            values = f"{was[key]}", f"{current[key]}"
            readable = max(map(len, values)) <= _READABLE and not values[1].startswith(_DIGEST)
            return f"{key} was {values[0]}, is {values[1]}" if readable else f"{key} changed"
    return None


def stage_seed(config: StageConfig) -> int:
    """Seed of what a stage draws without one of its own: the same whether or not the stages before ran just now."""
    content = config.model_dump_json(exclude={"gate"})
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Of names, dtypes, shapes and contents, whatever the layout in memory."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return _DIGEST + digest.hexdigest()


def split_digest(split: SampleSet) -> str:
    """Of the ids, recordings, inputs and targets of a split."""
    names = hashlib.blake2b(repr((split.ids, split.recordings)).encode(), digest_size=16).hexdigest()
    tensors = {f"{i}": tensor for i, tensor in enumerate((*split.inputs, *split.targets))}
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
        elif isinstance(value, Path):
            yield f"{place}{name}", _file_digest(value)


def _file_digest(path: Path) -> str:
    """A missing file is one more content: the stage that reads it will say so."""
    if not path.is_file():
        return f"{_DIGEST}none"
    return _DIGEST + hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted path; an empty list or mapping is a setting itself."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
