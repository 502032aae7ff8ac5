"""Frozen encoders and low-rank adapters: what learns, and that a plain model is left which computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.compress.fitting import FitConfig, ResumePoint, fit
from edge.compress.samples import SampleSet
from edge.models.encoders.adapters import adapted
from edge.training.fusion_task import FusionTask
from tests.edge.models.small_transformers import all_io, fusion_model, tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from edge.compress.fitting import EpochReport
    from edge.models.fusion_model import FusionModel


def samples(count: int = 24) -> SampleSet:
    inputs = tensors(count)[:-1]
    ids = tuple(str(i) for i in range(count))
    return SampleSet("train", ids, ids, inputs, (torch.arange(count) % 3,))


def trained(model: FusionModel, epochs: int = 2) -> FusionModel:
    task = FusionTask(all_io())

    def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return task.loss(model(*inputs), targets)

    fit(model, samples(), objective, FitConfig(epochs=epochs, batch_size=8, precision="float32"))
    return model


def weights(model: FusionModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert list(before) == list(after)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_frozen_encoder_keeps_its_weights_and_the_rest_learns() -> None:
    model = fusion_model(camera={"tuning": "frozen"})
    before = weights(model)
    with adapted(model):
        trained(model)
    found = changed(before, weights(model))
    assert not any(name.startswith("branches.camera.encoder.") for name in found)
    assert {"branches.camera.placeholder", "heads.0.logits.weight"} <= found
    assert any(name.startswith("branches.sound.encoder.") for name in found)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_adapters_learn_alone_and_are_merged_into_the_same_function(layers: str) -> None:
    tuned: dict[str, Any] = {"tuning": "lora", "lora": {"rank": 2, "alpha": 8.0, "layers": layers}}
    model = fusion_model(camera=tuned, sound=tuned, report=tuned)
    kinds, before, example = [type(m) for m in model.modules()], weights(model), tensors(4)
    with adapted(model):
        learning = {name for name, p in model.named_parameters() if p.requires_grad and ".encoder." in name}
        assert learning
        assert all(".lora_" in name for name in learning)
        trained(model)
        with torch.no_grad():
            inside = model(*example)[0]
    with torch.no_grad():
        torch.testing.assert_close(model(*example)[0], inside, atol=1e-5, rtol=1e-5)
    assert [type(m) for m in model.modules()] == kinds
    found = {name for name in changed(before, weights(model)) if ".encoder." in name}
    assert all(name.endswith(".weight") for name in found)
    assert any(".q_proj." in name for name in found)
    assert any(".query." in name for name in found)
    assert any(".fc1." in name for name in found) == (layers == "all")


def test_merged_weights_differ_by_a_matrix_of_the_rank() -> None:
    model = fusion_model(sound={"tuning": "lora", "lora": {"rank": 1}})
    before = weights(model)
    with adapted(model):
        trained(model)
    name = "branches.sound.encoder.net.layers.0.attention.v_proj.weight"
    difference = (model.state_dict()[name] - before[name]).double()
    singular = torch.linalg.svdvals(difference)
    assert float(singular[1]) < 1e-4 * float(singular[0])


def test_an_interrupted_training_of_adapters_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    tuned = {"tuning": "lora", "lora": {"rank": 2, "dropout": 0.1}}

    def run(stop: bool) -> tuple[FusionModel, int]:
        model, task = fusion_model(sound=tuned), FusionTask(all_io())
        ended: list[EpochReport] = []
        losses: list[Tensor] = []

        def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
            losses.append(task.loss(model(*inputs), targets))
            return losses[-1]

        def interrupt(report: EpochReport) -> None:
            ended.append(report)
            if stop and len(ended) == 2:
                raise KeyboardInterrupt

        config = FitConfig(epochs=4, batch_size=8, precision="float32")
        torch.manual_seed(3)
        with adapted(model):
            point = ResumePoint(tmp_path / "state", {}) if stop or (tmp_path / "state").exists() else None
            fit(model, samples(), objective, config, resume=point, on_epoch=interrupt)
        return model, len(losses)

    whole, steps = run(stop=False)
    with pytest.raises(KeyboardInterrupt):
        run(stop=True)
    resumed, steps_left = run(stop=False)
    assert (steps, steps_left) == (12, 6)
    assert changed(weights(whole), weights(resumed)) == set()


def test_adapters_are_merged_when_training_fails() -> None:
    model = fusion_model(sound={"tuning": "lora"})
    names = list(model.state_dict())
    with pytest.raises(KeyboardInterrupt), adapted(model):
        raise KeyboardInterrupt
    assert list(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_that_is_tuned_as_a_whole_is_left_alone() -> None:
    model = fusion_model()
    with adapted(model):
        assert all(parameter.requires_grad for parameter in model.parameters())
    with adapted(torch.nn.Linear(1, 1)):  # a model without branches
        pass
