"""Pruning to a latency: by an estimate that is worked out here, and by this machine's own clock."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from edge.compress.aten_graph import first_sample
from edge.compress.latency_table import LatencyTable, LayerLatency, graph_digest
from edge.compress.prune.config import LatencyTarget, PruneConfig, RivalConfig
from edge.compress.prune.latency_plan import timed_graph
from edge.compress.prune.latency_source import MeasuredLatency, machine_name
from edge.compress.prune.slimming import PruningPlan, apply, plan
from edge.compress.prune.width_table import WidthTable, load_width_table
from edge.compress.samples import SampleSet
from edge.compress.stages.stage import Artifact, CompressionContext, PruneStage, apply_stage
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

BOARD = "estimate:toy-board"
INPUTS = (torch.ones(2, 3, 8, 8), torch.ones(2, 1, 8, 8))


class TwoBranches(nn.Module):
    """Two inputs that meet in a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.depth = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(1, 24, 3, padding=1)
        self.mix, self.head = nn.Conv2d(56, 48, 3, padding=1), nn.Conv2d(48, 2, 1)

    def forward(self, image: Tensor, depth: Tensor) -> Any:
        return self.head(self.mix(torch.cat([self.image(image), self.depth(depth)], 1).relu()).relu())


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return TwoBranches().eval()


@pytest.fixture(scope="module")
def half(model: nn.Module) -> PruningPlan:
    return plan(model, INPUTS, target(ratio=0.5), estimate=by_weights)


def by_weights(device: str, graph: onnx.ModelProto) -> LatencyTable:
    """A device that takes a microsecond for each value of a layer's weights, half at INT8, and 10 for each graph."""
    rows = []
    for constant in graph.graph.initializer:
        size = 1
        for dim in constant.dims:
            size *= dim
        if len(constant.dims) > 1:
            for precision, factor in (("fp32", 1.0), ("int8", 0.5)):
                rows.append(
                    LayerLatency(layer=constant.name, operator="Conv", precision=precision, ms=size * factor * 1e-3)  # type: ignore[arg-type]
                )
    return LatencyTable(
        source=f"estimate:{device}", graph_sha256=graph_digest(graph), layers=tuple(rows), fixed_ms=0.01
    )


def target(**options: Any) -> PruneConfig:
    limits = {name: options.pop(name) for name in ("align", "max_ratio", "keep") if name in options}
    return PruneConfig(latency=LatencyTarget(**{"source": BOARD, **options}), importance="norm", **limits)


def test_an_estimate_is_reached_on_the_real_graph(model: nn.Module, half: PruningPlan) -> None:
    record = half.latency
    assert record is not None
    assert (record.source, record.precision, record.target) == (BOARD, "fp32", 0.5)
    one = first_sample(INPUTS)
    real = [by_weights("toy-board", timed_graph(m, one)) for m in (model, apply(model, half))]
    before, after = (sum(row.ms for row in t.layers if row.precision == "fp32") + t.fixed_ms for t in real)
    assert record.before_ms == pytest.approx(before)
    assert record.after_ms == pytest.approx(after)
    assert record.ratio == pytest.approx(after / before)
    assert 0.3 < record.ratio <= 0.5  # one step of eight channels is 0.16 here
    assert record.interval == (record.ratio, record.ratio)
    assert all(g.kept == g.channels or g.kept % 8 == 0 for g in half.groups)
    assert PruningPlan.model_validate_json(half.model_dump_json(by_alias=True)) == half


def test_milliseconds_at_another_precision(model: nn.Module, half: PruningPlan) -> None:
    """INT8 takes half as long, so that the same widths reach half the milliseconds."""
    whole = half.latency
    assert whole is not None
    chosen = plan(model, INPUTS, target(max_ms=0.35 * whole.before_ms, precision="int8"), estimate=by_weights).latency
    assert chosen is not None
    assert chosen.after_ms <= 0.35 * whole.before_ms
    assert chosen.before_ms == pytest.approx(0.5 * (whole.before_ms - 0.01) + 0.01)


def test_out_of_reach_names_the_least_which_is_reachable(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match=rf"cannot go down to 0\.01 of the original by {BOARD}") as caught:
        plan(model, INPUTS, target(ratio=0.01), estimate=by_weights)
    least = float(str(caught.value).split("the least is ")[1].split(" of")[0])
    chosen = plan(model, INPUTS, target(ratio=least), estimate=by_weights).latency
    assert chosen is not None
    assert chosen.ratio <= least
    with pytest.raises(ConfigError, match=r"cannot go down to 0\.02 ms"):
        plan(model, INPUTS, target(max_ms=0.02), estimate=by_weights)


def test_what_cannot_be_is_refused(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="needs estimates"):
        plan(model, INPUTS, target(ratio=0.5))
    with pytest.raises(ConfigError, match="within max_ms 1e\\+06 already"):
        plan(model, INPUTS, target(max_ms=1e6), estimate=by_weights)
    with pytest.raises(ConfigError, match="the table is of estimate:other"):
        plan(model, INPUTS, target(ratio=0.5), estimate=lambda _, graph: by_weights("other", graph))
    with pytest.raises(ConfigError, match="no group of channels gets narrower"):
        plan(model, INPUTS, target(ratio=0.5, align=64), estimate=by_weights)


def test_the_width_table_is_kept_and_belongs_to_one_source(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "widths.yaml"
    sizes: list[int] = []

    def counting(device: str, graph: onnx.ModelProto) -> LatencyTable:
        sizes.append(len(graph.graph.node))
        return by_weights(device, graph)

    config = target(ratio=0.6, width_table=str(path))
    first = plan(model, INPUTS, config, estimate=counting)
    asked = len(sizes)
    table = load_width_table(path, BOARD, "fp32")
    assert first.latency is not None
    assert table.digest == first.latency.width_table
    assert len(table.ms) > 20
    assert plan(model, INPUTS, config, estimate=counting) == first
    assert len(sizes) - asked < asked - len(table.ms) + 5  # no layer was timed again
    with pytest.raises(ConfigError, match="never mixed with a measurement"):
        plan(model, INPUTS, config.model_copy(update={"latency": LatencyTarget(ratio=0.6, width_table=str(path))}))
    with pytest.raises(ConfigError, match="at int8 is asked for"):
        load_width_table(path, BOARD, "int8")


@pytest.mark.parametrize("content", ["schema: 2\nsource: measured:x\nprecision: fp32\n", "ms: {a: -1}\n", "- 1\n", "{"])
def test_broken_width_tables_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "widths.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"widths\.yaml"):
        load_width_table(path, "measured:x", "fp32")


def test_a_width_table_reads_back(tmp_path: Path) -> None:
    table = WidthTable(source="measured:x", precision="fp32").with_rows({"b": 2.0, "a": 0.1})
    table.save(tmp_path / "t.yaml")
    assert load_width_table(tmp_path / "t.yaml", "measured:x", "fp32") == table
    assert list(table.ms) == ["a", "b"]
    assert table.with_rows({"c": 1.0}).digest != table.digest


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ratio": 0.5, "max_ms": 3.0},
        {"ratio": 1.0},
        {"max_ms": float("inf")},
        {"ratio": 0.5, "source": "guess:board"},
        {"ratio": 0.5, "source": "estimate:"},
        {"ratio": 0.5, "precision": "int8"},  # measured
        {"ratio": 0.5, "device": "x"},
    ],
)
def test_broken_targets_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LatencyTarget(**values)


def kept(chosen: PruningPlan) -> dict[str, int]:
    return {group.name: group.kept for group in chosen.groups if group.kept < group.channels}


def test_of_rivals_that_hold_the_latency_the_judge_picks(model: nn.Module, half: PruningPlan) -> None:
    """Once by its own measure, and once by the contrary one: another plan wins."""
    config = target(ratio=0.5).model_copy(update={"rivals": RivalConfig(max_ratios=(0.3, 0.6))})
    asked: list[PruningPlan] = []

    def widest_image_branch(rival: PruningPlan, sign: int = 1) -> float:
        asked.append(rival)
        return sign * float(next(group.kept for group in rival.groups if group.channels == 32))

    narrow = plan(model, INPUTS, config, estimate=by_weights, judge=widest_image_branch)
    compared = len(asked)
    wide = plan(model, INPUTS, config, estimate=by_weights, judge=lambda rival: widest_image_branch(rival, -1))
    assert compared >= 2 and len({json.dumps(kept(rival)) for rival in asked[:compared]}) == compared
    assert half.groups in [rival.groups for rival in asked], "the plan without rivals is one of them"
    assert kept(narrow) != kept(wide)
    for chosen in (narrow, wide):
        assert chosen.latency is not None
        losses = [rival.loss for rival in chosen.latency.rivals]
        assert losses == sorted(losses) and len(losses) == compared
        assert chosen.latency.rivals[0].kept == kept(chosen)
        assert chosen.latency.rivals[0].ratio == chosen.latency.ratio
        assert all(rival.ratio <= 0.5 for rival in chosen.latency.rivals)
        assert PruningPlan.model_validate_json(chosen.model_dump_json(by_alias=True)) == chosen


def test_the_uniform_rival_takes_the_same_share_of_all(model: nn.Module) -> None:
    config = target(ratio=0.5).model_copy(update={"rivals": RivalConfig(max_ratios=())})
    chosen = plan(model, INPUTS, config, estimate=by_weights, judge=lambda rival: len(kept(rival)) * -1.0)
    assert chosen.latency is not None
    uniform = next(rival for rival in chosen.latency.rivals if rival.path == "uniform")
    shares = [count / group.channels for group in chosen.groups for count in [uniform.kept[group.name]]]
    assert len(shares) == 3
    assert max(shares) - min(shares) <= 8 / 24, "as near as steps of eight channels let them be"


def test_rivals_need_a_judge_and_a_latency(model: nn.Module) -> None:
    config = target(ratio=0.5).model_copy(update={"rivals": RivalConfig()})
    with pytest.raises(ConfigError, match="rivals need someone who judges"):
        plan(model, INPUTS, config, estimate=by_weights)
    with pytest.raises(ValidationError, match="plans of equal latency"):
        PruneConfig(macs_ratio=0.5, rivals=RivalConfig())
    with pytest.raises(ValidationError, match="there is no rival"):
        RivalConfig(max_ratios=(), uniform=False)
    with pytest.raises(ValidationError):
        RivalConfig(max_ratios=(1.5,))


def test_two_targets_are_refused() -> None:
    with pytest.raises(ValidationError, match="exactly one of ratio, macs_ratio, cost_ratio and latency"):
        PruneConfig(ratio=0.5, latency=LatencyTarget(ratio=0.5))


class Wide(nn.Module):
    """Large enough for its convolutions to be what takes the time. Named inputs, a dictionary out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.third, self.head = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 2, 1)

    def forward(self, image: Tensor, scale: Tensor) -> dict[str, Tensor]:
        x = self.third(self.second(self.first(image).relu()).relu()).relu()
        return {"logits": self.head(x) * scale}


def test_a_measured_target_is_held_by_its_interval() -> None:
    torch.manual_seed(0)
    model = Wide().eval()
    named = {"image": torch.randn(2, 3, 16, 16), "scale": torch.ones(2, 1, 1, 1)}
    config = PruneConfig(latency=LatencyTarget(ratio=0.7), importance="norm", align=16)
    chosen = plan(model, named, config)
    record = chosen.latency
    assert record is not None
    assert record.source == f"measured:{machine_name()}"
    assert record.interval[0] <= record.ratio <= record.interval[1] <= 0.7
    assert all(group.kept % 16 == 0 for group in chosen.groups)
    graphs = [timed_graph(m, first_sample(named)) for m in (model, apply(model, chosen))]
    again = MeasuredLatency().share(graphs[0], graphs[1], 0.7)
    assert again.interval[0] < 0.85  # far from the unpruned 1, whatever else the machine does
    assert again.before_ms > again.after_ms


class Masked(nn.Module):
    """As stages have it: `present` comes last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 2, 1)

    def forward(self, image: Tensor, present: Tensor) -> Any:
        return self.head(self.conv(image * present[:, 0].reshape(-1, 1, 1, 1)).relu())


def test_the_stage_prunes_by_its_contexts_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery is another test's matter, so the teacher teaches nothing here."""
    monkeypatch.setattr("edge.compress.stages.handlers.teach", lambda *_, **__: SimpleNamespace(notes=dict))
    samples = SampleSet("train", ("a", "b"), ("r", "r"), (torch.ones(2, 3, 8, 8),), (torch.zeros(2),))
    model = Masked().eval()
    task: Any = None  # only losses and metrics would ask for it
    context = CompressionContext(
        task=task, train=samples, teacher=model, build_student=lambda: model, estimate=by_weights
    )
    pruned = apply_stage(PruneStage(prune=target(ratio=0.5)), Artifact("student", model), context)
    assert pruned.plan is not None
    assert pruned.plan.latency is not None
    assert (pruned.plan.latency.source, pruned.plan.groups[0].kept) == (BOARD, 24)  # 32 would do but for the fixed cost
