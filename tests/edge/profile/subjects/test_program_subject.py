"""Exported torch programs, run by torch, their layers call by call."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edge.compress.program.file import pack_program
from edge.profile.subjects.program_subject import open_exported_program
from edge.profile.subjects.timed import SubjectConfig
from edge.runtime.errors import ConfigError, ModelError


@pytest.fixture(scope="module")
def program_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 5)
    )
    exported = torch.export.export(model.eval(), (torch.zeros(1, 3, 8, 8),))
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    path.write_bytes(pack_program(exported, ["picture"], ["scores"]))
    return path


def test_a_program_runs(program_file: Path) -> None:
    timed = open_exported_program(program_file, SubjectConfig())
    assert timed.subject.kind == "program" and timed.subject.inputs == {"picture": (1, 3, 8, 8)}
    assert timed.subject.engine.startswith("torch-2")
    made = timed.run()
    answer = made[0] if isinstance(made, (tuple, list)) else made
    assert isinstance(answer, torch.Tensor) and answer.shape == (1, 5)


def test_layers_are_calls_with_their_work(program_file: Path) -> None:
    layers = open_exported_program(program_file, SubjectConfig()).layers(2)
    told = {layer.kind: layer for layer in layers}
    assert told["conv2d"].macs == 8 * 36 * 27
    assert told["linear"].macs == 5 * 8 * 36
    assert told["relu"].macs is None and told["relu"].bytes == 2 * 4 * 8 * 36
    assert all(layer.ms > 0 and layer.precision == "fp32" for layer in layers)


def test_only_torch_runs_it(program_file: Path) -> None:
    with pytest.raises(ConfigError, match="is a torch program"):
        open_exported_program(program_file, SubjectConfig(engine="tensorrt"))


def test_what_is_no_program_is_never_unpickled(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "x.pt2")
    with pytest.raises(ModelError):
        open_exported_program(tmp_path / "x.pt2", SubjectConfig())
    with pytest.raises(ModelError, match="cannot read"):
        open_exported_program(tmp_path / "none.pt2", SubjectConfig())
