"""Multimodal samples as a torch dataset, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.utils.data import Dataset

from edge.data.dataset_folder import load_split, read_manifest
from edge.data.hugging_face_table import HuggingFaceTable
from edge.data.manifest_samples import ManifestSamples, open_table
from edge.runtime.model_io import PresentInput
from edge.runtime.sources.manifest_layout import read_layout, streams_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compress.samples import SampleSet
    from edge.data.dataset_folder import Split
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig
    from edge.runtime.sources.manifest_layout import ManifestLayout

ID, PRESENT = "id", "present"
Item = dict[str, Any]
# Changes a sample, e.g. to augment it; it must not change the tensors that it is given.
Transform = Callable[[Item], Item]


class _Items(Protocol):
    def __len__(self) -> int: ...

    def item(self, index: int) -> Item: ...


class MultimodalDataset(Dataset[Item]):
    """Samples by number, each a mapping that `torch.utils.data.default_collate` makes batches of.

    The keys are the names of the model's input tensors (float32, or int64 for text), `present` (float32
    `[modalities]`, 1 where the sample has the modality; a missing one is zeros), `target_OUTPUT` for each target, and
    `id`. Tensors have no batch dimension. It can be sent to the workers of a `DataLoader`.

    Make it with one of the `from_...` methods.

    Args:
        items: Where samples come from.
        transform: Changes each sample on its way out.
    """

    def __init__(self, items: _Items, transform: Transform | None = None) -> None:
        self._items, self._transform = items, transform

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        """One sample.

        Raises:
            IndexError: There is none of that number.
            DataError: A file cannot be read, or is not what the model needs; row and column are named.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        item = self._items.item(index % len(self))
        return item if self._transform is None else self._transform(item)

    @classmethod
    def from_manifest(
        cls,
        path: Path,
        model_io: ModelIO,
        rig: Rig,
        layout: ManifestLayout | None = None,
        split: Split | None = None,
        transform: Transform | None = None,
    ) -> MultimodalDataset:
        """Rows of a CSV or Parquet file, read and preprocessed when they are asked for.

        Args:
            path: The manifest; every row is looked at now.
            model_io: What the model takes.
            rig: The sensors that the samples stand for.
            layout: What the columns are; `NAME.streams.yaml` beside the manifest if None. Without `targets` the samples
                have none.
            split: Of those rows alone.
            transform: Changes each sample on its way out.

        Raises:
            ConfigError: Layout, model and rig do not fit each other.
            DataError: A row is bad, or there is none of the split.
            MissingDependencyError: What reads such files is not installed.
        """
        told = read_layout(streams_file(path)) if layout is None else layout
        return cls(_RowItems(ManifestSamples(open_table(path), told, model_io, rig), split), transform)

    @classmethod
    def from_hugging_face(
        cls,
        folder: Path,
        model_io: ModelIO,
        rig: Rig,
        layout: ManifestLayout,
        split: Split | None = None,
        transform: Transform | None = None,
    ) -> MultimodalDataset:
        """Rows of a folder that `save_to_disk` of Hugging Face's `datasets` wrote; arguments as of `from_manifest`.

        Raises:
            ConfigError: Layout, model and rig do not fit each other.
            DataError: The folder is no dataset, a row is bad, or there is none of the split.
            MissingDependencyError: The extra `data` is not installed.
        """
        return cls(_RowItems(ManifestSamples(HuggingFaceTable(folder), layout, model_io, rig), split), transform)

    @classmethod
    def from_folder(cls, folder: Path, split: Split, transform: Transform | None = None) -> MultimodalDataset:
        """A split of a dataset folder, such as `edge train` leaves beside its checkpoint.

        Raises:
            DataError: The folder is no dataset, or lacks the split.
        """
        manifest = read_manifest(folder)
        inputs, targets = ([spec.name for spec in specs] for specs in (manifest.inputs, manifest.targets))
        return cls(_StoredItems(load_split(folder, split), inputs, targets), transform)


class _RowItems:
    def __init__(self, samples: ManifestSamples, split: Split | None) -> None:
        self._samples, self._places = samples, samples.chosen(split)
        named = [item.tensor for item in samples.model_io.inputs if isinstance(item, PresentInput)]
        self._present = named[0] if named else None

    def __len__(self) -> int:
        return len(self._places)

    def item(self, index: int) -> Item:
        place = self._places[index]
        row = self._samples.rows[place]
        tensors = {name: torch.from_numpy(values[0]) for name, values in self._samples.tensors(row).items()}
        if self._present is not None:
            del tensors[self._present]
        has = torch.tensor([float(stream in row.values) for stream in self._samples.model_io.modalities])
        labels = zip(self._samples.specs, self._samples.labels[place], strict=True)
        return {**tensors, PRESENT: has, **{spec.name: torch.as_tensor(value) for spec, value in labels}, ID: row.id}


class _StoredItems:
    def __init__(self, samples: SampleSet, inputs: list[str], targets: list[str]) -> None:
        self._samples, self._inputs, self._targets = samples, inputs, targets

    def __len__(self) -> int:
        return len(self._samples)

    def item(self, index: int) -> Item:
        data = self._samples
        inputs = {name: tensor[index].clone() for name, tensor in zip(self._inputs, data.inputs, strict=True)}
        has = torch.ones(len(data.inputs)) if data.available is None else data.available[index].clone()
        targets = {name: tensor[index].clone() for name, tensor in zip(self._targets, data.targets, strict=True)}
        return {**inputs, PRESENT: has, **targets, ID: data.ids[index]}
