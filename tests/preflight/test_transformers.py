"""Transformer encoders before a compiler: a ViT, an AST and a BERT on token ids, as one INT8 program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compress.program.file import pack_program
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.quantize.tracing import trace
from tests.edge.models.small_transformers import fusion_model, tensors
from tests.preflight.test_check import check, statuses

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.preflight


def test_transformers_on_pictures_sound_and_ids_compile(tmp_path: Path) -> None:
    model, example = fusion_model(), tensors(6)
    int8 = quantize_static(model, example, [example])
    program = trace(int8, tuple(t[:1] for t in example))
    content = pack_program(program, ["camera", "sound", "report", "present"], ["verdict"])
    (tmp_path / "three.pt2").write_bytes(content)
    done, report = check(tmp_path / "three.pt2", "--target", "orin-nano-8gb", "--strict")
    assert done.exit_code == 0, done.output
    found = statuses(report)
    for step in ("operators", "TensorRT parser", "Torch-TensorRT coverage", "Torch-TensorRT engine", "engine build"):
        assert found[step] == "passed"
    shares = next(step for step in report["steps"] if step["name"] == "precision")["facts"]["shares"]
    assert shares["int8"] > 0.9  # what is left is attention's products of two computed tensors
