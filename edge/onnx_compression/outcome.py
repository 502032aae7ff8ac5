"""Compresses an ONNX file, measures the result without labels, gates it and writes it down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import yaml

from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.proved_in_onnxruntime import optimized_precision
from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.writing import write_u8
from edge.compress.onnx_model.agreement import output_agreement
from edge.compress.onnx_model.array_files import read_samples
from edge.compress.onnx_model.input_samples import InputSamples
from edge.compress.onnx_model.static_quantization import quantize_onnx
from edge.graph.onnx_file import read_onnx, to_bytes
from edge.onnx_compression.record import ModelRecord
from edge.runtime.atomic import atomic_folder
from edge.runtime.environment import describe_host
from edge.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.precision.layer_precision import PrecisionReport
    from edge.compress.onnx_model.recipe import OnnxRecipe
    from edge.compress.onnx_model.static_quantization import QuantizedOnnx

RECORD, RECIPE = "record.json", "recipe.yaml"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompressedFile:
    """The graphs of a compressed ONNX file, and the record of them.

    Attributes:
        graphs: ONNX bytes by dialect: `fp32`, `s8`, `s8f16`, `u8`.
        record: What was done and measured.
    """

    graphs: dict[str, bytes]
    record: ModelRecord

    def demand_gate(self) -> None:
        """Holds the graph that boards run against the recipe's gate.

        Raises:
            GateError: It falls short; the message names the output.
        """
        gate = self.record.recipe.gate
        if gate is not None:
            gate.check_outputs(self.record.agreement["s8"])
            gate.check_share(self.record.declared.get("int8", 0.0))

    def write(self, out: Path) -> None:
        """Writes `graph.<dialect>.onnx`, `record.json` and `recipe.yaml`; the folder appears whole.

        Raises:
            ConfigError: The folder holds something else, which would be lost.
        """
        demand_replaceable(out)
        with atomic_folder(out) as folder:
            for dialect, graph in self.graphs.items():
                (folder / f"graph.{dialect}.onnx").write_bytes(graph)
            content = self.record.model_dump(mode="json", by_alias=True)
            (folder / RECORD).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            recipe = yaml.safe_dump(content["recipe"], sort_keys=False)
            (folder / RECIPE).write_text(recipe, encoding="utf-8")


def demand_replaceable(out: Path) -> None:
    """Refuses a folder that holds anything but an earlier result of this.

    Raises:
        ConfigError: It does.
    """
    empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not empty and not ((out / RECORD).is_file() and (out / "graph.s8.onnx").is_file()):
        raise ConfigError(f"{out} exists and is no compressed model", "choose another folder for --out")


def compress_file(path: Path, calibration: Path, recipe: OnnxRecipe) -> CompressedFile:
    """Quantizes an ONNX file and measures what that cost and brought; no gate is applied.

    Args:
        path: The float model; weights beside it are taken in.
        calibration: What `read_samples` reads.
        recipe: How.

    Raises:
        ModelError: The model cannot be read, quantized or run.
        DataError: The samples are missing, too few, or do not fit the model's inputs.
    """
    model, samples = read_onnx(path), read_samples(calibration)
    fitting, held = InputSamples.for_model(model, samples).hold_back(recipe.held_back)
    started = time.monotonic()
    quantized = quantize_onnx(model, fitting, recipe.quantize)
    seconds = time.monotonic() - started
    graphs = _dialects(quantized, recipe)
    declared, proved, notes = _precisions(quantized, graphs)
    record = ModelRecord(
        schema=1,
        name=path.name,
        source_digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        calibration_digest=samples.digest,
        calibrated_on=fitting.ids,
        compared_on=held.ids,
        recipe=recipe,
        inputs={name: np.shape(values) for name, values in fitting.feed(0).items()},
        bytes={dialect: len(graph) for dialect, graph in graphs.items()},
        macs=None if declared is None else declared.macs,
        declared={} if declared is None else declared.shares(),
        proved={} if proved is None else proved.shares(),
        proved_by="" if proved is None else proved.source,
        agreement={d: output_agreement(graphs["fp32"], graphs[d], d, held) for d in graphs if d != "fp32"},
        left_float=quantized.left_float,
        custom=quantized.custom,
        corrected_biases=quantized.corrected_biases,
        seconds=seconds,
        environment=describe_host().to_json(),
        notes=notes,
    )
    return CompressedFile(graphs, record)


def _dialects(quantized: QuantizedOnnx, recipe: OnnxRecipe) -> dict[str, bytes]:
    written = {
        "fp32": quantized.float32,
        "s8": quantized.s8,
        "s8f16": write_half(quantized.s8, recipe.quantize.keep_fp32),
        "u8": write_u8(quantized.s8),
    }
    return {dialect: to_bytes(graph, f"graph.{dialect}.onnx") for dialect, graph in written.items()}


def _precisions(
    quantized: QuantizedOnnx, graphs: dict[str, bytes]
) -> tuple[PrecisionReport | None, PrecisionReport | None, tuple[str, ...]]:
    """Declared by the s8 graph, proved on the u8 graph; a model with unknown operators may not tell its shapes."""
    try:
        declared = graph_precision(quantized.s8)
        return declared, optimized_precision(graphs["u8"], declared), ()
    except ModelError as error:
        logger.warning("the share of INT8 cannot be told: %s", error)
        return None, None, (f"The share of INT8 cannot be told: {error.problem}.",)
