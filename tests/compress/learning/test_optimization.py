"""Optimizers, schedules, parts of a batch, frozen parts, recomputed activations, devices and precisions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from edge.compress.fitting import FitConfig, fit
from edge.compress.learning.device import training_device
from edge.compress.learning.learning_rate import rate_share
from edge.compress.parallel.ranks import Ranks
from edge.runtime.errors import ConfigError, ModelError
from tests.compress.learning.small_models import QUICK, TwoBranches, differing, fitted, fresh_model, pictures


def quick(**changes: Any) -> FitConfig:
    return FitConfig.model_validate({**QUICK.model_dump(), **changes})


def shares(steps: int, **changes: Any) -> list[float]:
    return [rate_share(quick(**changes), step, steps) for step in range(steps)]


def test_schedules_by_hand() -> None:
    assert shares(4, schedule="constant", warmup=0.5) == [0.5, 1, 1, 1]
    assert shares(4, schedule="cosine") == pytest.approx([1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])
    assert (
        shares(10, schedule="step", warmup=0, step_at=(0.5, 0.8), step_factor=0.5) == [1] * 5 + [0.5] * 3 + [0.25] * 2
    )
    assert shares(4, schedule="one_cycle", warmup=0.25) == pytest.approx([1, 1, 0.75, 0.25])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["one_cycle", "cosine", "constant", "step"]),
    st.integers(1, 300),
    st.floats(0, 0.9),
)
def test_a_rate_is_never_above_its_peak_and_does_not_vanish(schedule: str, steps: int, warmup: float) -> None:
    found = shares(steps, schedule=schedule, warmup=warmup)
    assert all(0 < share <= 1 for share in found)


def test_sgd_moves_as_torch_moves() -> None:
    """One weight w, loss 2 w: momentum adds nine tenths of the step before."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    config = quick(
        optimizer="sgd", schedule="constant", warmup=0, learning_rate=0.1, epochs=2, batch_size=70, weight_decay=0
    )
    data = pictures()
    fit(model, data, lambda inputs, _t: model(inputs[1].mean((1, 2, 3))[:, None] * 0 + 2.0).mean(), config)
    # Gradient 2 each step: first step -0.2, second -0.1 * (2 + 0.9 * 2).
    assert float(model.weight.detach()) == pytest.approx(1.0 - 0.2 - 0.38, abs=1e-5)


@pytest.mark.parametrize("changes", [{"optimizer": "sgd", "nesterov": True}, {"schedule": "constant"}])
def test_a_choice_changes_what_is_learned(changes: dict[str, Any]) -> None:
    assert differing(fitted(quick(**changes)), fitted())


def test_parts_of_a_batch_add_up_to_the_batch() -> None:
    """Without batch normalisation and dropout, which see a part at a time, gradients are those of the whole."""

    def trained(accumulate: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(42, 8), nn.Tanh(), nn.Linear(8, 3))
        data = pictures()
        losses: list[float] = []

        def objective(inputs: tuple[torch.Tensor, ...], targets: tuple[torch.Tensor, ...]) -> torch.Tensor:
            return nn.functional.cross_entropy(model(inputs[1]), targets[0])

        config = quick(accumulate=accumulate, optimizer="sgd")
        fit(model, data, objective, config, lambda _d, _s, loss: losses.append(loss))
        return [torch.tensor(losses), *model.parameters()]

    for one, parts in zip(trained(1), trained(5), strict=True):
        torch.testing.assert_close(parts, one, rtol=1e-4, atol=1e-5)
    assert len(trained(5)[0]) == 3 * 4, "a part is no step"


def test_parts_need_two_rows() -> None:
    with pytest.raises(ConfigError, match=r"a batch of 16 gives 9 parts \(accumulate\) less than two rows"):
        fitted(quick(accumulate=9))


def test_recomputed_activations_change_nothing() -> None:
    """Batch statistics move once and dropout draws alike the second time, so all is equal to the bit."""
    model = fresh_model()
    recomputed = fitted(quick(gradient_checkpointing=True), model)
    assert differing(recomputed, fitted()) == []
    assert all("forward" not in vars(branch) for branch in model.branches.values())


def test_branches_are_computed_a_second_time() -> None:
    def passes(enabled: bool) -> int:
        model, seen = fresh_model(), []
        # A pre-hook of the first convolution: the wrapped forward runs it in both passes.
        model.branches["a"][0].register_forward_pre_hook(lambda _m, _x: seen.append(1))  # type: ignore[index]
        fitted(quick(gradient_checkpointing=enabled), model)
        return len(seen)

    assert passes(True) == 2 * passes(False)


def test_an_encoder_of_transformers_does_it_itself() -> None:
    transformers = pytest.importorskip("transformers")
    layers = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, image_size=6, patch_size=3
    )

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleDict({"a": transformers.ViTModel(layers, add_pooling_layer=False)})
            self.head = nn.Linear(8, 3)
            self.switched: list[bool] = []

        def forward(self, first: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
            self.switched.append(bool(self.branches["a"].is_activation_checkpointing))
            answers: torch.Tensor = self.head(self.branches["a"](first[..., :6, :6]).last_hidden_state[:, 0])
            return answers

    def trained(enabled: bool) -> Patches:
        torch.manual_seed(0)
        model = Patches()
        config = quick(gradient_checkpointing=enabled, epochs=1)
        fit(model, pictures(), lambda x, t: nn.functional.cross_entropy(model(*x), t[0]), config)
        assert set(model.switched) == {enabled}
        assert not model.branches["a"].is_activation_checkpointing
        return model

    for one, other in zip(trained(True).parameters(), trained(False).parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_model_without_branches_has_nothing_to_compute_again() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="has no branches to compute again; set it to false"):
        fit(model, pictures(), lambda _x, _t: model.weight.sum(), quick(gradient_checkpointing=True))


def test_what_is_frozen_stays_as_it_is() -> None:
    model = fresh_model()
    model.branches["a"].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes: list[tuple[bool, bool]] = []
    norms = [branch[1] for branch in model.branches.values()]  # type: ignore[index]
    norms[0].register_forward_hook(lambda *_: modes.append((norms[0].training, norms[1].training)))
    fitted(model=model)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and not any(name.startswith("branches.a.") for name in moved), "running statistics included"
    assert set(modes) == {(False, True)}


def test_a_norm_without_parameters_goes_with_what_is_frozen_around_it() -> None:
    model = nn.ModuleDict({"body": nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, affine=False))})
    model["head"] = nn.Linear(2, 3)
    model["body"].requires_grad_(False)
    fit(model, pictures(), lambda x, _t: model["head"](model["body"](x[1]).mean((2, 3))).square().mean(), QUICK)
    assert model["body"][1].num_batches_tracked == 0  # type: ignore[index]


def test_nothing_to_train_is_refused() -> None:
    model = fresh_model().requires_grad_(False)
    with pytest.raises(ModelError, match="every parameter is frozen"):
        fitted(model=model)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum"),
        ({"step_at": [0.9, 0.5]}, "step_at must rise"),
        ({"class_weights": [1.0, -1.0]}, "greater than 0"),
        ({"early_stopping": {"patience": 0}}, "greater than or equal to 1"),
        ({"optimiser": "sgd"}, "Extra inputs"),
    ],
)
def test_keys_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        quick(**changes)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds no CUDA device; set device: cpu"):
        fitted(quick(device="cuda"))
    with pytest.raises(ConfigError, match="2 processes train on CPUs only"):
        training_device(quick(device="cuda"), Ranks(0, 2))


def test_a_precision_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.compress.learning.device._cpu_has", lambda kind: False)
    with pytest.raises(ConfigError, match="float16 was asked for and this processor cannot; use bfloat16"):
        fitted(quick(precision="float16"))


def test_float16_learns_with_scaled_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow where there are no instructions for it, and right: what is refused to users still runs here."""
    monkeypatch.setattr("edge.compress.learning.device._cpu_has", lambda kind: True)
    losses: list[float] = []
    model, config = fresh_model(dropout=0.0), quick(precision="float16", epochs=10)
    fitted(config, model, on_step=lambda _d, _s, loss: losses.append(loss))
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for p in model.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_trains_and_gives_the_model_back(precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    config = quick(device="cuda", precision=precision, epochs=10, modality_dropout=0.0)
    model: TwoBranches = fitted(config, fresh_model(dropout=0.0))
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    data = pictures()
    guessed = model(*data.inputs, torch.ones(len(data), 2))[0].argmax(1)
    assert guessed.eq(data.targets[0]).float().mean() > 0.8
