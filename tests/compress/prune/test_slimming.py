"""Plans over the fusion model: exact against zeroed channels, rebuildable, and refused where impossible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edge.compress.aten_graph import tensors_of
from edge.compress.mac_count import macs
from edge.compress.prune.slimming import PruneConfig, PruningPlan, apply, plan
from edge.runtime.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Build = Callable[..., nn.Module]
    Draw = Callable[..., tuple[Tensor, ...]]

HALF = PruneConfig(ratio=0.5, importance="norm")


def losses_on(inputs: tuple[Tensor, ...]) -> Callable[[nn.Module], Iterator[Tensor]]:
    def losses(model: nn.Module) -> Iterator[Tensor]:
        for sample in range(len(inputs[0])):
            outputs = model(*(x[sample : sample + 1] for x in inputs))
            yield sum((output.square().mean() for output in outputs), torch.zeros(()))

    return losses


def silenced(model: nn.Module, chosen: PruningPlan) -> nn.Module:
    """The full model with the removed channels' normalisations and placeholders at zero: ReLU keeps them there."""
    masked = apply(model, chosen.model_copy(update={"kept": {}, "shapes": {}}))
    tensors = tensors_of(masked)
    for path, dims in chosen.kept.items():
        for dim, kept in dims.items():
            if "placeholders" in path or (path.endswith(("weight", "bias")) and tensors[path].dim() == 1):
                gone = sorted(set(range(tensors[path].shape[dim])) - set(kept))
                tensors[path].data.index_fill_(dim, torch.tensor(gone, dtype=torch.long), 0)
    return masked


def outputs_of(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        outputs: tuple[Tensor, ...] = model(*inputs)
    return outputs


@pytest.fixture(scope="module")
def half(build_fusion: Build, fusion_inputs: Draw) -> PruningPlan:
    return plan(build_fusion(), fusion_inputs(), HALF)


@pytest.mark.parametrize(
    "config",
    [
        HALF,
        PruneConfig(ratio=0.3, importance="taylor", align=1, minimum=1),
        PruneConfig(macs_ratio=0.5, importance="taylor"),
        PruneConfig(macs_ratio=0.4, importance="norm", align=4, minimum=4),
    ],
    ids=["half", "ratio", "macs", "align 4"],
)
def test_equals_the_silenced_model(config: PruneConfig, build_fusion: Build, fusion_inputs: Draw) -> None:
    model, inputs = build_fusion(), fusion_inputs(batch=4, seed=3)
    chosen = plan(model, fusion_inputs(), config, losses=losses_on(inputs))
    slim = apply(model, chosen)
    before, after = outputs_of(model, inputs), outputs_of(slim, inputs)
    for expected, found, original in zip(outputs_of(silenced(model, chosen), inputs), after, before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert found.shape == original.shape
        assert not torch.allclose(found, original, atol=1e-3)  # something was really removed


def test_half_of_every_group_goes(half: PruningPlan, build_fusion: Build, fusion_inputs: Draw) -> None:
    slim = apply(build_fusion(), half)
    assert slim.camera.encoder.stages[1].layers[0].layer[0].convolution.out_channels == 16  # type: ignore[union-attr, index]
    mix = slim.get_submodule("mix.0")
    assert isinstance(mix, nn.Conv2d)
    # Half of 40 audio channels is 20, between 16 and 24: ties keep more. The same for 24 lidar channels.
    assert (mix.in_channels, mix.out_channels) == (16 + 16 + 24, 24)
    assert mix.weight.shape == (24, 56, 1, 1)
    assert slim.placeholders[2].shape == (1, 24, 1, 1)  # type: ignore[index]
    assert macs(slim, fusion_inputs()) == half.macs_after
    assert macs(build_fusion(), fusion_inputs()) == half.macs_before


def test_model_is_left_alone(build_fusion: Build, fusion_inputs: Draw) -> None:
    model = build_fusion().train()
    before = {path: tensor.clone() for path, tensor in tensors_of(model).items()}
    chosen = plan(model, fusion_inputs(), PruneConfig(macs_ratio=0.6), losses=losses_on(fusion_inputs(batch=2)))
    apply(model, chosen)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[path], tensor) for path, tensor in tensors_of(model).items())


def test_rebuilt_from_configuration_plan_and_weights(
    half: PruningPlan, build_fusion: Build, fusion_inputs: Draw, tmp_path: Path
) -> None:
    slim = apply(build_fusion(), half)
    save_file({k: v.contiguous() for k, v in slim.state_dict().items()}, tmp_path / "weights.safetensors")
    (tmp_path / "plan.json").write_text(half.model_dump_json(by_alias=True), encoding="utf-8")

    read = PruningPlan.model_validate_json((tmp_path / "plan.json").read_text(encoding="utf-8"))
    rebuilt = apply(build_fusion(seed=9), read).eval()
    rebuilt.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    inputs = fusion_inputs(batch=2, seed=5)
    for expected, found in zip(outputs_of(slim, inputs), outputs_of(rebuilt, inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_exports_with_a_dynamic_batch(half: PruningPlan, build_fusion: Build, fusion_inputs: Draw) -> None:
    slim = apply(build_fusion(), half)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(slim, fusion_inputs(batch=2), dynamic_shapes=tuple({0: batch} for _ in range(4)))
    inputs = fusion_inputs(batch=5, seed=2)
    for expected, found in zip(outputs_of(slim, inputs), program.module()(*inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_still_trains(half: PruningPlan, build_fusion: Build, fusion_inputs: Draw) -> None:
    slim = apply(build_fusion(), half).train()
    optimizer = torch.optim.SGD(slim.parameters(), lr=1e-3)
    *signals, present = fusion_inputs(batch=4)
    present[3] = 0  # only then do all placeholders matter
    sum((output.square().mean() for output in slim(*signals, present)), torch.zeros(())).backward()
    used = {path for path, p in slim.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    optimizer.step()
    assert set(half.kept) - set(dict(slim.named_buffers())) <= used


def test_unreachable_target_names_the_least(build_fusion: Build, fusion_inputs: Draw) -> None:
    model, inputs = build_fusion(), fusion_inputs()
    with pytest.raises(ConfigError, match=r"MACs cannot go down to 0\.01") as caught:
        plan(model, inputs, PruneConfig(macs_ratio=0.01, importance="norm"))
    least = float(str(caught.value).split("the least is ")[1].split(";")[0])
    assert plan(model, inputs, PruneConfig(macs_ratio=least, importance="norm")).macs_ratio <= least
    with pytest.raises(ConfigError, match="the least is"):
        plan(model, inputs, PruneConfig(macs_ratio=least - 0.005, importance="norm"))


def test_groups_compete_by_importance(build_fusion: Build, fusion_inputs: Draw) -> None:
    """Sixteen camera channels are made worthless: they are the first to go."""
    model = build_fusion()
    mix = model.get_submodule("mix.0")
    assert isinstance(mix, nn.Conv2d)
    mix.weight.data[:, 8:24] *= 1e-4
    config = PruneConfig(macs_ratio=0.9)
    chosen = plan(model, fusion_inputs(), config, losses=losses_on(fusion_inputs(batch=4)))
    assert set(chosen.kept["mix.0.weight"][1]).isdisjoint(range(8, 24))
    assert 0.8 < chosen.macs_ratio <= 0.9


def test_kept_globs(build_fusion: Build, fusion_inputs: Draw) -> None:
    config = PruneConfig(ratio=0.5, importance="norm", keep=("camera.*", "mix.0.*"))
    chosen = plan(build_fusion(), fusion_inputs(), config)
    slim = apply(build_fusion(), chosen)
    untouched = [path for path in chosen.kept if path.startswith("camera.")]
    assert untouched == []
    mix = slim.get_submodule("mix.0")
    assert isinstance(mix, nn.Conv2d)
    assert (mix.in_channels, mix.out_channels) == (32 + 16 + 24, 48)
    with pytest.raises(ConfigError, match="no channel of this model can be pruned"):
        plan(build_fusion(), fusion_inputs(), PruneConfig(ratio=0.5, importance="norm", keep=("*",)))


def test_any_cost_can_be_the_target(build_fusion: Build, fusion_inputs: Draw) -> None:
    """Here the cost is the number of parameters; a measured latency goes the same way."""
    model, asked = build_fusion(), []

    def parameters(candidate: PruningPlan) -> float:
        asked.append(candidate)
        return float(sum(p.numel() for p in apply(model, candidate).parameters()))

    config = PruneConfig(cost_ratio=0.5, importance="norm", max_ratio=0.9)
    chosen = plan(model, fusion_inputs(), config, cost=parameters)
    total = sum(p.numel() for p in model.parameters())
    assert 0.35 * total < parameters(chosen) <= 0.5 * total
    assert len(asked) < 12
    with pytest.raises(ConfigError, match="cost function"):
        plan(model, fusion_inputs(), config)


def test_named_inputs(half: PruningPlan, build_fusion: Build, fusion_inputs: Draw) -> None:
    named = dict(zip(("camera", "lidar", "audio", "present"), fusion_inputs(), strict=True))
    assert plan(build_fusion(), named, HALF) == half
    assert macs(build_fusion(), named) == half.macs_before


def test_pruning_twice(half: PruningPlan, build_fusion: Build, fusion_inputs: Draw) -> None:
    slim = apply(build_fusion(), half)
    config = PruneConfig(macs_ratio=0.6, importance="norm", align=4, minimum=4)
    again = plan(slim, fusion_inputs(), config)
    assert again.macs_before == half.macs_after
    assert macs(apply(slim, again), fusion_inputs()) == again.macs_after <= 0.6 * half.macs_after


def test_plan_for_another_model_is_refused(half: PruningPlan, build_fusion: Build) -> None:
    with pytest.raises(ModelError, match=r"another model: camera.* should have shape"):
        apply(build_fusion(width=48), half)
    with pytest.raises(ModelError, match="another model"):
        apply(apply(build_fusion(), half), half)
    with pytest.raises(ModelError, match="does not exist"):
        apply(nn.Linear(2, 2), half)


@pytest.mark.parametrize(
    "broken",
    [
        {"kept": {"a": {0: (0, 4)}}},
        {"kept": {"a": {0: (1, 0)}}},
        {"kept": {"a": {0: ()}}},
        {"kept": {"a": {0: (-1, 1)}}},
        {"kept": {"a": {1: (0,)}}},
        {"kept": {"b": {0: (0,)}}},
        {"schema": 2},
        {"extra": 1},
    ],
)
def test_broken_plans_are_refused(broken: dict[str, object]) -> None:
    sound = {"shapes": {"a": (4,)}, "kept": {"a": {0: (0, 2)}}, "macs_before": 2, "macs_after": 1}
    PruningPlan.model_validate(sound)
    with pytest.raises(ValidationError):
        PruningPlan.model_validate({**sound, **broken})


@pytest.mark.parametrize("values", [{}, {"ratio": 0.5, "macs_ratio": 0.5}, {"ratio": 0}, {"ratio": 0.5, "round_to": 8}])
def test_broken_configurations_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PruneConfig(**values)  # type: ignore[arg-type]


def test_unusable_losses_are_refused(build_fusion: Build, fusion_inputs: Draw) -> None:
    model, inputs = build_fusion(), fusion_inputs()
    config = PruneConfig(ratio=0.5)
    with pytest.raises(ConfigError, match="needs losses"):
        plan(model, inputs, config)
    with pytest.raises(DataError, match="no batch"):
        plan(model, inputs, config, losses=lambda _: [])
    with pytest.raises(DataError, match="not one finite number"):
        plan(model, inputs, config, losses=lambda m: [m(*inputs)[0].sum() * float("nan")])
    with pytest.raises(DataError, match="not one finite number"):
        plan(model, inputs, config, losses=lambda _: [torch.ones(())])


def test_a_ratio_that_changes_nothing_is_refused(build_fusion: Build, fusion_inputs: Draw) -> None:
    with pytest.raises(ConfigError, match="no group of channels gets narrower"):
        plan(build_fusion(), fusion_inputs(), PruneConfig(ratio=0.05, importance="norm"))


def test_wrong_inputs_are_one_clear_error(build_fusion: Build, fusion_inputs: Draw) -> None:
    with pytest.raises(ModelError, match="cannot trace ThreeBranches"):
        plan(build_fusion(), fusion_inputs()[:2], HALF)
