"""What is explained: a trained checkpoint, whose insides can be looked at, or a bundle, which only answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.checkpoint import CHECKPOINT_FILE, load_checkpoint
from edge.compress.provenance import tensors_digest
from edge.compress.stages.measure import module_runner, onnx_runner
from edge.runtime.bundle_layout import MANIFEST
from edge.runtime.errors import BundleError, DataError, ModelError
from edge.runtime.model_io import PresentInput
from edge.training.fusion_task import FusionTask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.models.fusion_model import FusionModel
    from edge.runtime.bundle import Bundle
    from edge.runtime.model_io import ModelIO

# The function that gates measure and the board runs, before what x86 is faster with.
DIALECT_ORDER = ("s8", "s8f16", "u8", "fp32")


@dataclass(frozen=True)
class AskedModel:
    """A model that can be asked.

    Attributes:
        kind: What it was opened from.
        name: Of its project.
        path: Where it lies.
        digest: Of its weights, or a bundle's id.
        model_io: Its tensors.
        run: Asks it.
        engine: What computes its answers.
        batch_size: Most samples a call; None where any number goes.
        network: With gradients; None of a bundle.
        dataset: That it was trained on; None where that is not told.
    """

    kind: Literal["checkpoint", "bundle"]
    name: str
    path: Path
    digest: str
    model_io: ModelIO
    run: Runner
    engine: str
    batch_size: int | None = None
    network: FusionModel | None = None
    dataset: Path | None = None

    @property
    def task(self) -> FusionTask:
        """Its metric."""
        return FusionTask(self.model_io)

    def refuse_other_data(self, data: SampleSet) -> None:
        """Checks a split against the model's inputs.

        Raises:
            DataError: A tensor has another shape than the model takes, or there are more or fewer of them.
        """
        items = [i for i in self.model_io.inputs if not isinstance(i, PresentInput)]
        wanted = {item.tensor: tuple(item.shape[1:]) for item in items}
        found = [tuple(x.shape[1:]) for x in data.inputs]
        if list(wanted.values()) != found:
            raise DataError(
                f"the samples have inputs of shapes {found}, {self.path} takes {wanted}",
                "pass the dataset that was prepared for this model: --data FOLDER",
            )


def open_asked_model(
    path: Path, dialect: str | None = None, open_bundle: Callable[[Path], Bundle] | None = None
) -> AskedModel:
    """Opens a checkpoint or a bundle.

    Args:
        path: Its folder.
        dialect: Graph of a bundle; what the board runs where it is not given.
        open_bundle: Opens a bundle under the user's trust policy.

    Raises:
        ModelError: It is neither, or no readable checkpoint.
        BundleError: The bundle is refused or has no such graph; a dialect was asked of a checkpoint.
    """
    if (path / MANIFEST).is_file():
        return _of_bundle(path, dialect, open_bundle)
    if dialect is not None:
        raise BundleError(f"{path} is no bundle and has no '{dialect}' graph", "leave --dialect out")
    if not (path / CHECKPOINT_FILE).is_file():
        raise ModelError(
            f"{path} is neither a checkpoint nor a bundle: it has no {CHECKPOINT_FILE} and no {MANIFEST}",
            "pass what edge train wrote, or the bundle of edge compress",
        )
    saved = load_checkpoint(path)
    project = saved.manifest.project
    return AskedModel(
        kind="checkpoint",
        name=project.name,
        path=path,
        digest=tensors_digest(saved.model.state_dict()),
        model_io=project.io,
        run=module_runner(saved.model),
        engine="torch",
        network=saved.model,
        dataset=saved.manifest.dataset,
    )


def _of_bundle(path: Path, dialect: str | None, open_bundle: Callable[[Path], Bundle] | None) -> AskedModel:
    from edge.runtime.bundle import Bundle

    bundle = (open_bundle or Bundle.open)(path)
    chosen = dialect or next(d for d in DIALECT_ORDER if d in bundle.dialects)
    names = tuple(item.tensor for item in bundle.model_io.inputs)
    run = onnx_runner(bundle.graph(chosen), chosen, names, bundle.model_io.output_tensors)
    return AskedModel(
        kind="bundle",
        name=bundle.manifest.name,
        path=path,
        digest=bundle.id,
        model_io=bundle.model_io,
        run=run,
        engine=f"onnxruntime, graph {chosen}",
        batch_size=1,
    )
