"""The models that quantizers are compared on, trained here: weights are kept in a cache folder and never committed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pooled_branches
import torch
from pooled_branches import depthwise_net, transformer_net
from safetensors.torch import load_file, save_file

from edge.compress.fitting import FitConfig, fit
from edge.data.prepared import prepare_dataset
from edge.models.fusion_model import FusionModel
from edge.project import FolderData, load_project, preset_path
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import DataError
from edge.runtime.model_io import PresentInput, SoftmaxOutput
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from edge.project import Project

ROOT = Path(__file__).resolve().parents[2]
AV_DIGITS = ROOT / "examples" / "av_digits"


@dataclass(frozen=True)
class MeasuredModel:
    """A model of the comparison.

    Attributes:
        name: In results and on the command line.
        title: For people.
        project: Inputs, outputs and data.
        build: A fresh model, its weights drawn from torch's generator.
        fit: How it is trained; long enough to be a model worth quantizing, short enough for two cores.
        transformer: Peers that ask are told so.
        code: Where its module is written, if here; weights are trained anew when that changes.
    """

    name: str
    title: str
    project: Callable[[], Project]
    build: Callable[[Project], nn.Module]
    fit: FitConfig
    transformer: bool = False
    code: Path | None = None


@dataclass(frozen=True)
class TrainedModel:
    """A model with weights, and the data that it is calibrated and scored on."""

    measured: MeasuredModel
    seed: int
    module: nn.Module
    bench: Workbench


def _av_digits() -> Project:
    return load_project(AV_DIGITS / "plain.yaml")


def _street() -> Project:
    return load_project(preset_path("street_demo"))


def _student(project: Project) -> nn.Module:
    return FusionModel(project.student, project.io)


def _pooled(make: Callable[..., nn.Module]) -> Callable[[Project], nn.Module]:
    def build(project: Project) -> nn.Module:
        sizes = {item.tensor: item.shape[2:] for item in project.io.inputs if not isinstance(item, PresentInput)}
        (output,) = project.io.outputs
        assert isinstance(output, SoftmaxOutput)
        return make(sizes, len(output.classes))

    return build


_POOLED = Path(pooled_branches.__file__)
_FIT = FitConfig(epochs=3, batch_size=64, learning_rate=3e-3)
MODELS = (
    MeasuredModel("av-digits", "AV digits, the student (two ResNet branches)", _av_digits, _student, _FIT),
    MeasuredModel(
        "depthwise", "AV digits, two MobileNetV2 branches", _av_digits, _pooled(depthwise_net), _FIT, code=_POOLED
    ),
    MeasuredModel(
        "transformer",
        "AV digits, two ViT branches",
        _av_digits,
        _pooled(transformer_net),
        FitConfig(epochs=4, batch_size=64, learning_rate=1e-3),
        transformer=True,
        code=_POOLED,
    ),
    MeasuredModel(
        "street",
        "the street demo's student (camera, lidar, audio)",
        _street,
        _student,
        FitConfig(epochs=6, batch_size=32, learning_rate=4e-3),
    ),
)


def train_or_load(
    measured: MeasuredModel, seed: int, cache: Path, recordings: Path, say: Callable[[str], None] = print
) -> TrainedModel:
    """The model with its data; trained once for each seed and setting.

    Args:
        measured: Which.
        seed: Of weights, shuffling and modality dropout; the data is the same for all seeds.
        cache: Where datasets and weights are kept.
        recordings: Folder with the real recordings, for AV digits.
        say: Takes a line of progress.

    Raises:
        DataError: The recordings are not there.
    """
    project = measured.project()
    folder = _dataset(project, cache, recordings)
    bench = open_workbench(_located(project, folder), folder)
    config = measured.fit.model_copy(update={"seed": seed})
    torch.manual_seed(seed)
    module = measured.build(project)
    path = cache / "weights" / f"{measured.name}-{seed}-{_key(measured, project, config)}.safetensors"
    if not path.is_file():
        _train(module, bench, config, say)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as draft:
            save_file({name: t.contiguous() for name, t in module.state_dict().items()}, draft)
    module.load_state_dict(load_file(path))
    return TrainedModel(measured, seed, module.eval(), bench)


def _train(module: nn.Module, bench: Workbench, config: FitConfig, say: Callable[[str], None]) -> None:
    def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return bench.task.loss(module(*inputs), targets)

    def on_step(done: int, steps: int, loss: float) -> None:
        if done % max(1, steps // 10) == 0:
            say(f"step {done} of {steps}, loss {loss:.3f}")

    fit(module, bench.train, objective, config, on_step)


def _dataset(project: Project, cache: Path, recordings: Path) -> Path:
    """The project's dataset in the cache, drawn where it is not there yet."""
    folder = cache / "data" / project.name
    if not isinstance(project.data, FolderData):
        return prepare_dataset(project, folder)
    if not folder.is_dir():
        if not recordings.is_dir():
            raise DataError(f"there are no recordings in {recordings}", "pass their folder: --recordings DIR")
        subprocess.run([sys.executable, str(AV_DIGITS / "prepare.py"), str(recordings), str(folder)], check=True)
    return folder


def _located(project: Project, folder: Path) -> Project:
    """A prepared folder holds its rig as well, and here it lies in the cache."""
    if not isinstance(project.data, FolderData):
        return project
    data = project.data.model_copy(update={"path": folder, "rig": folder / "rig.yaml"})
    return project.model_copy(update={"data": data})


def _key(measured: MeasuredModel, project: Project, config: FitConfig) -> str:
    """Names what the weights depend on, apart from model and seed."""
    parts = [project.model_dump(mode="json", by_alias=True, exclude={"recipe", "train", "data"}), config.model_dump()]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    if measured.code is not None:
        digest.update(measured.code.read_bytes())
    return digest.hexdigest()[:12]
