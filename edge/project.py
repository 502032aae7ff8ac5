"""A project: data, model, training and recipe in one YAML file; what `edge train` and `edge compress` run."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.fitting import FitConfig
from edge.compress.recipe import Recipe, Stage
from edge.compress.stages.stage import QuantizeStage
from edge.models.encoders.transformer import TransformerConfig
from edge.models.fusion_model import FusionModelConfig
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO, TokensInput
from edge.runtime.simulate.street import StreetConfig
from edge.runtime.sources.manifest_layout import ManifestLayout
from edge.training.alignment import AlignmentConfig
from edge.training.augmentation.config import AugmentConfig
from edge.training.pretraining.config import PretrainConfig


class StreetData(BaseModel):
    """Samples drawn from the street simulator; every sample is a street of its own.

    Attributes:
        train: Samples of the training split; `validation` and `test` alike.
        seed: First street's seed; the splits never share a street.
        street: Densities, weather, hard cases.
        workers: Processes that draw; the samples do not depend on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["street"] = "street"
    train: int = Field(3000, ge=1)
    validation: int = Field(400, ge=1)
    test: int = Field(800, ge=1)
    seed: int = 0
    street: StreetConfig = StreetConfig()
    workers: int = Field(2, ge=1)

    @property
    def samples(self) -> int:
        """Samples in all splits."""
        return self.train + self.validation + self.test


class FolderData(BaseModel):
    """A prepared dataset folder (`edge.data.dataset_folder`), and the rig that its samples were taken with.

    Relative paths are against the project file.

    Attributes:
        path: The folder.
        rig: The sensors.
        generated: The samples come from a simulation; what is trained on them says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["folder"] = "folder"
    path: Path
    rig: Path
    generated: bool = False


class TableData(ManifestLayout):
    """Samples of a table with one a row, made ready by the runtime's own preprocessing.

    Relative paths are against the project file, those in the table against the table.

    Attributes:
        path: The table.
        rig: The sensors that its samples stand for.
        workers: Processes that make them ready; the samples do not depend on it.
    """

    path: Path
    rig: Path
    workers: int = Field(2, ge=1)

    @property
    def layout(self) -> ManifestLayout:
        """What the columns are, without where the table lies."""
        return ManifestLayout.model_validate(self.model_dump(include=set(ManifestLayout.model_fields)))


class ManifestData(TableData):
    """A CSV or Parquet file (`docs/datasets.md`)."""

    kind: Literal["manifest"] = "manifest"


class HuggingFaceData(TableData):
    """A folder that `save_to_disk` of Hugging Face's `datasets` wrote.

    The names of its splits are a column `split`, which is read where neither a column nor shares are named.
    """

    kind: Literal["hugging_face"] = "hugging_face"


class Project(BaseModel):
    """The whole of a project file.

    Attributes:
        name: Of the bundle.
        io: Tensors in and out.
        data: Where samples come from.
        teacher: Widths of the large model.
        student: Widths of the small one.
        train: How the teacher is trained.
        augment: How training samples are varied, by stream.
        pretrain: How encoders are pretrained without labels; absent where they are not.
        alignment: Aligns modalities while the teacher is trained on labels, too; absent where they are not.
        unimodal: Weight of each sample's answers by one of its modalities each, beside that by all, while the teacher
            is trained; 0 leaves them out.
        labels: Share of the training recordings whose labels may be used; pretraining sees the others as well.
        recipe: The stages that follow.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    io: ModelIO
    data: Annotated[StreetData | FolderData | ManifestData | HuggingFaceData, Field(discriminator="kind")]
    teacher: FusionModelConfig
    student: FusionModelConfig
    train: FitConfig = FitConfig()
    augment: dict[str, AugmentConfig] = {}
    pretrain: PretrainConfig | None = None
    alignment: AlignmentConfig | None = None
    unimodal: float = Field(0.0, ge=0)
    labels: float = Field(1.0, gt=0, le=1)
    recipe: Recipe

    @model_validator(mode="after")
    def _aligned_modalities_match(self) -> Project:
        varied_before = self.pretrain is not None and self.pretrain.alignment is not None and self.pretrain.augment
        if self.alignment is not None or varied_before:
            wrong = [stream for stream, config in self.augment.items() if config.mismatched]
            if wrong:
                raise ValueError(
                    f"augment.{wrong[0]}.mismatched pairs modalities of different samples, which alignment takes for "
                    "those of one; leave one of the two out, or set pretrain.augment: false"
                )
        return self


def load_project(path: Path) -> Project:
    """Reads a project file; `base: OTHER.yaml` in it names a file whose keys it overrides, or takes away by `null`.

    Raises:
        ConfigError: A file is missing or no YAML, or a key is unknown or wrong; the message names it.
    """
    project = validated(Project, _read_merged(path), path)
    project = _resolve_tokenizers(_resolve_weights(project, path.parent), path.parent)
    project = _resolve_logs(project, path.parent)
    return _resolve_paths(project, path.parent)


def find_project(name: Path) -> Project:
    """Loads a project file, or the preset of that name where no such file exists.

    Raises:
        ConfigError: There is neither, or the file is wrong.
    """
    return load_project(name if name.is_file() or name.suffix else preset_path(name.name))


def with_seed(project: Project, seed: int) -> Project:
    """The same project with other random numbers everywhere: data, initial weights, shuffling, calibration."""
    data = project.data
    if isinstance(data, StreetData):
        data = data.model_copy(update={"seed": data.seed + seed})
    train = project.train.model_copy(update={"seed": project.train.seed + seed})
    pretrain = project.pretrain
    if pretrain is not None:
        fit = pretrain.fit.model_copy(update={"seed": pretrain.fit.seed + seed})
        pretrain = pretrain.model_copy(update={"fit": fit})
    stages = tuple(_stage_with_seed(stage, seed) for stage in project.recipe.stages)
    recipe = project.recipe.model_copy(update={"stages": stages})
    return project.model_copy(update={"data": data, "train": train, "pretrain": pretrain, "recipe": recipe})


def preset_path(name: str) -> Path:
    """A project file that ships with the package.

    Raises:
        ConfigError: There is none of that name.
    """
    folder = Path(str(files("edge") / "presets"))
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise ConfigError(f"there is no preset '{name}'", f"choose one of {', '.join(known)}")
    return path


def _read_merged(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no mapping", "start from a preset, e.g. edge/presets/street_demo.yaml")
    base = content.pop("base", None)
    return content if base is None else _overlay(_read_merged(path.parent / str(base)), content)


def _overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
            continue
        before = merged.get(key)
        both = isinstance(value, dict) and isinstance(before, dict) and not _is_other_kind(key, before, value)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _is_other_kind(key: str, base: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Whether a mapping names another kind than the base's, whose keys are not its own; all fusions share theirs."""
    named = changes.get("kind")
    return key != "fusion" and named is not None and named != base.get("kind", "resnet")


def _stage_with_seed(stage: Stage, seed: int) -> Stage:
    if isinstance(stage, QuantizeStage):
        return stage.model_copy(update={"seed": stage.seed + seed})
    return stage.model_copy(update={"fit": stage.fit.model_copy(update={"seed": stage.fit.seed + seed})})


def _resolve_weights(project: Project, folder: Path) -> Project:
    """Folders of pretrained encoders are against the project file, too."""

    def resolve(model: FusionModelConfig) -> FusionModelConfig:
        found = {
            stream: encoder.model_copy(update={"pretrained": (folder / encoder.pretrained).resolve()})
            for stream, encoder in model.encoders.items()
            if isinstance(encoder, TransformerConfig) and encoder.pretrained is not None
        }
        return model.model_copy(update={"encoders": {**model.encoders, **found}}) if found else model

    return project.model_copy(update={"teacher": resolve(project.teacher), "student": resolve(project.student)})


def _resolve_logs(project: Project, folder: Path) -> Project:
    """And where trainings are logged."""

    def resolve(fit: FitConfig) -> FitConfig:
        return fit if fit.log_dir is None else fit.model_copy(update={"log_dir": (folder / fit.log_dir).resolve()})

    stages = tuple(
        stage if isinstance(stage, QuantizeStage) else stage.model_copy(update={"fit": resolve(stage.fit)})
        for stage in project.recipe.stages
    )
    recipe = project.recipe.model_copy(update={"stages": stages})
    pretrain = project.pretrain
    if pretrain is not None:
        pretrain = pretrain.model_copy(update={"fit": resolve(pretrain.fit)})
    return project.model_copy(update={"train": resolve(project.train), "pretrain": pretrain, "recipe": recipe})


def _resolve_tokenizers(project: Project, folder: Path) -> Project:
    """So are the tokenizers of text inputs."""
    inputs = tuple(
        item.model_copy(update={"tokenizer": str((folder / item.tokenizer).resolve())})
        if isinstance(item, TokensInput)
        else item
        for item in project.io.inputs
    )
    return project.model_copy(update={"io": project.io.model_copy(update={"inputs": inputs})})


def _resolve_paths(project: Project, folder: Path) -> Project:
    if isinstance(project.data, StreetData):
        return project
    data = project.data.model_copy(
        update={"path": (folder / project.data.path).resolve(), "rig": (folder / project.data.rig).resolve()}
    )
    return project.model_copy(update={"data": data})
