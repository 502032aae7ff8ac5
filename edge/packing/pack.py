"""Packs a bundle: checks that each graph runs, records what it answers, and publishes the folder in one rename."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from edge.runtime.arrays import pack_arrays
from edge.runtime.atomic import atomic_folder
from edge.runtime.bundle import Bundle
from edge.runtime.bundle_layout import MANIFEST
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, must_emulate
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError
from edge.runtime.manifest import DIALECTS, PROGRAM, TOKENIZER_FILES, FileEntry, make_manifest
from edge.runtime.model_io import TokensInput
from edge.runtime.preprocess.tokens import TokensFeature
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.compress.stages.record import StageRecord
    from edge.runtime.manifest import StageEntry, TrainingData
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig

Feed = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class BundleContents:
    """What goes into a bundle.

    Attributes:
        name: Of the model.
        graphs: ONNX bytes by dialect (`s8`, `s8f16`, `u8`, `fp32`).
        model_io: Tensors in and out.
        rig: Sensors that it was trained with.
        recipe: The resolved recipe, as YAML text or as what YAML can hold.
        data: What it was trained on.
        validated_states: Score of each modality state that passed its gates.
        golden_inputs: Example inputs, one dict of batch-1 tensors a case.
        licenses: Text of `LICENSES`: the model's, and those of the data it came from.
        stages: How it came about: stage records of `edge.compress`, or entries of the manifest.
        targets: Devices that it is meant for.
        calibration_digest: Of the calibration set.
        model_digest: Of the trained weights; that of the graphs where it is not given.
        seed: Of the run that made it.
        program: The exported torch program (`.pt2`), for Torch-TensorRT; it is packed as it is and never loaded here.
        tokenizers: Bytes of each tokenizer, by the name that `model_io` has for it; the bundle's own has the name that
            it is packed under.
    """

    name: str
    graphs: Mapping[str, bytes]
    model_io: ModelIO
    rig: Rig
    recipe: str | Mapping[str, Any]
    data: TrainingData
    validated_states: Mapping[str, float]
    golden_inputs: Sequence[Mapping[str, NDArray[Any]]]
    licenses: str
    stages: Sequence[StageRecord | StageEntry] = ()
    targets: tuple[str, ...] = ()
    calibration_digest: str | None = None
    model_digest: str | None = None
    seed: int | None = None
    program: bytes | None = None
    tokenizers: Mapping[str, bytes] = field(default_factory=dict)


def pack_bundle(out: Path, contents: BundleContents) -> Bundle:
    """Writes a bundle and opens it again, which checks every digest.

    Golden outputs are what each graph answers here, through the engine and optimisations that `edge run` uses.

    Args:
        out: The folder; replaced whole where it exists.
        contents: What goes in.

    Raises:
        BundleError: Contents are missing or contradict each other.
        ConfigError: A tokenizer does not fit `model_io`.
        ModelError: A graph does not load, does not fit `model_io`, or does not run on a golden input.
        MissingDependencyError: The model reads text, and the extra `text` is not installed.
    """
    _check(contents)
    _check_replaceable(out)
    files = _render_files(contents)
    manifest = make_manifest(
        {
            "name": contents.name,
            "model_digest": contents.model_digest or _digest(*(contents.graphs[d] for d in sorted(contents.graphs))),
            "calibration_digest": contents.calibration_digest,
            "data": contents.data.model_dump(mode="json"),
            "stages": [stage.model_dump(mode="json") for stage in contents.stages],
            "states": dict(contents.validated_states),
            "targets": list(contents.targets),
            **_provenance(contents.seed),
            "files": {name: _entry(content) for name, content in files.items()},
        }
    )
    with atomic_folder(out) as folder:
        for name, content in {**files, MANIFEST: manifest.to_bytes()}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        Bundle.open(folder)
    return Bundle.open(out)


def _check(contents: BundleContents) -> None:
    unknown = [d for d in contents.graphs if d not in DIALECTS]
    if unknown or not contents.graphs:
        raise BundleError(f"a bundle cannot hold the graphs {unknown or 'of no dialect'}", f"use {', '.join(DIALECTS)}")
    if not contents.golden_inputs:
        raise BundleError("a bundle needs at least one golden input", "pass a few preprocessed samples")
    known = all_states(contents.model_io.modalities)
    for state in contents.validated_states:
        if state not in known:
            raise BundleError(f"'{state}' is no modality state of this model", f"use {', '.join(known)}")
    for stream in contents.model_io.modalities:
        contents.rig.stream(stream)
    for item in _text_inputs(contents.model_io):
        if item.tokenizer not in contents.tokenizers:
            raise BundleError(f"input '{item.tensor}' has no tokenizer", f"give the content of {item.tokenizer}")
        TokensFeature(item, contents.tokenizers[item.tokenizer])


def _check_replaceable(out: Path) -> None:
    if out.exists() and not ((out / MANIFEST).is_file() or (out.is_dir() and not any(out.iterdir()))):
        raise BundleError(f"{out} exists and is no bundle", "choose another folder, or remove it")


def _render_files(contents: BundleContents) -> dict[str, bytes]:
    recipe = contents.recipe if isinstance(contents.recipe, str) else _yaml(dict(contents.recipe))
    model_io, tokenizers = pack_tokenizers(contents.model_io, contents.tokenizers)
    files = {
        **tokenizers,
        "io.yaml": _yaml(model_io.model_dump(mode="json", by_alias=True)).encode(),
        "rig.yaml": _yaml(contents.rig.model_dump(mode="json", by_alias=True)).encode(),
        "recipe.yaml": recipe.encode(),
        "LICENSES": contents.licenses.encode(),
        "golden/inputs.npz": pack_arrays(stack_cases(contents.golden_inputs)),
    }
    if contents.program is not None:
        files[PROGRAM] = contents.program
    for dialect, graph in contents.graphs.items():
        # Where 8 bits are emulated, goldens of 7 bits are too: `edge verify` holds the integer kernels against them.
        emulated = must_emulate(dialect)
        engine = OnnxRuntimeEngine(graph, dialect, model_io=contents.model_io, emulate_int8=emulated)
        outputs = [engine.run(inputs) for inputs in contents.golden_inputs]
        files[f"graph.{dialect}.onnx"] = graph
        files[f"golden/outputs.{dialect}.npz"] = pack_arrays(stack_cases(outputs))
    return files


def pack_tokenizers(model_io: ModelIO, contents: Mapping[str, bytes]) -> tuple[ModelIO, dict[str, bytes]]:
    """Gives each tokenizer the name that it has in a bundle; equal ones are packed once.

    Args:
        model_io: Names them by other paths.
        contents: Bytes by those.

    Returns:
        The same with the names of the bundle, and the files.

    Raises:
        BundleError: There are more than a bundle may hold.
    """
    distinct = list(dict.fromkeys(contents[item.tokenizer] for item in _text_inputs(model_io)))
    if len(distinct) > len(TOKENIZER_FILES):
        raise BundleError(f"the model has {len(distinct)} tokenizers", f"let it share up to {len(TOKENIZER_FILES)}")
    names = dict(zip(distinct, TOKENIZER_FILES, strict=False))
    inputs = tuple(
        item.model_copy(update={"tokenizer": names[contents[item.tokenizer]]})
        if isinstance(item, TokensInput)
        else item
        for item in model_io.inputs
    )
    return model_io.model_copy(update={"inputs": inputs}), {name: content for content, name in names.items()}


def _text_inputs(model_io: ModelIO) -> list[TokensInput]:
    return [item for item in model_io.inputs if isinstance(item, TokensInput)]


def stack_cases(cases: Sequence[Mapping[str, NDArray[Any]]]) -> Feed:
    """Joins batch-1 tensors of several cases along the batch."""
    return {name: np.concatenate([case[name] for case in cases]) for name in cases[0]}


def _provenance(seed: int | None) -> dict[str, Any]:
    host = describe_host(seed=seed)
    return {
        "tool_versions": {"python": host.python, **host.packages},
        "environment": {k: v for k, v in host.to_json().items() if k not in ("packages", "python")},
    }


def _entry(content: bytes) -> dict[str, Any]:
    return FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest()).model_dump()


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
