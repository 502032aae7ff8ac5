"""Latency tables: sums by plan, files that come back, and tables that must not be set side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.compress.latency_table import LatencyTable, LayerLatency, graph_digest, load_latency_table
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = "ab" * 32
TIMES: dict[str, tuple[float, ...]] = {
    "encoder.0": (1.0, 2.0, 4.0),
    "encoder.1": (0.5, 1.0, 2.0),
    "head": (0.25, 0.5, 1.0),
}
PRECISIONS = ("int8", "fp16", "fp32")


def rows(times: dict[str, tuple[float, ...]], precisions: tuple[str, ...] = PRECISIONS) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "operator": "Conv", "precision": precision, "ms": ms, "bound": "compute"}
        for layer, values in times.items()
        for precision, ms in zip(precisions, values, strict=True)
    ]


def make_table(**changes: Any) -> LatencyTable:
    content = {"source": "estimate:orin-nano-8gb", "graph_sha256": GRAPH, "layers": rows(TIMES), "fixed_ms": 0.125}
    return LatencyTable.model_validate({**content, **changes})


def test_a_plan_sums_each_layer_at_its_precision() -> None:
    table = make_table()
    assert table.names == tuple(TIMES)
    assert table.ms("encoder.1", "fp16") == 1.0
    assert table.total_ms(PrecisionPlan.int8()) == 0.125 + 1.75
    assert table.total_ms(PrecisionPlan()) == 0.125 + 7.0  # no rule: FP32
    assert table.total_ms(PrecisionPlan.int8(keep_float=("head",), kept="fp16")) == 0.125 + 1.0 + 0.5 + 0.5


def test_what_the_table_lacks_is_named() -> None:
    table = make_table(layers=rows({"head": (0.5,)}, ("fp16",)))
    with pytest.raises(ConfigError, match="has no layer 'tail'"):
        table.ms("tail", "fp16")
    with pytest.raises(ConfigError, match="layer 'head' at fp16, not at int8"):
        table.total_ms(PrecisionPlan.int8())


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    table = make_table()
    table.save(tmp_path / "table.yaml")
    loaded = load_latency_table(tmp_path / "table.yaml")
    assert loaded == table
    assert loaded.total_ms(PrecisionPlan.int8()) == table.total_ms(PrecisionPlan.int8())
    first = (tmp_path / "table.yaml").read_bytes()
    loaded.save(tmp_path / "table.yaml")
    assert (tmp_path / "table.yaml").read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["table.yaml"]


@given(
    st.dictionaries(
        st.text(alphabet="abc.019_", min_size=1, max_size=8), st.floats(0, 1e6, allow_nan=False), max_size=12
    ),
    st.floats(0, 10, allow_nan=False),
)
def test_totals_do_not_depend_on_the_order_of_rows(times: dict[str, float], fixed: float) -> None:
    content = rows({layer: (ms,) for layer, ms in times.items()}, ("fp32",))
    forward = make_table(layers=content, fixed_ms=fixed).total_ms(PrecisionPlan())
    backward = make_table(layers=content[::-1], fixed_ms=fixed).total_ms(PrecisionPlan())
    assert forward == backward


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another schema": ({"schema": 2}, "schema 2, this edge reads latency tables of schema 1"),
    "no schema": ({"schema": None}, "schema None"),
    "an unknown key": ({"unit": "ms"}, "unit"),
    "no source": ({"source": "orin-nano"}, "source"),
    "a source of two lines": ({"source": "estimate:a\nb"}, "source"),
    "a guessed digest": ({"graph_sha256": "abc"}, "graph_sha256"),
    "a negative time": ({"fixed_ms": -1.0}, "fixed_ms"),
    "no number": ({"fixed_ms": float("nan")}, "fixed_ms"),
    "a precision nobody plans": ({"layers": rows({"a": (1.0,)}, ("int4",))}, "precision"),
    "an endless layer": ({"layers": rows({"a": (float("inf"),)}, ("int8",))}, "ms"),
    "a layer twice": ({"layers": rows({"a": (1.0,)}, ("int8",)) * 2}, "two rows at int8"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_malformed_file_is_refused(tmp_path: Path, change: str) -> None:
    changes, message = CHANGES[change]
    content = {**make_table().model_dump(mode="json", by_alias=True), **changes}
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_latency_table(path)


@pytest.mark.parametrize("content", ["", "- 1\n", "layers: [", "\x00"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_latency_table(tmp_path / "table.yaml")


def test_an_estimate_is_never_mixed_with_a_measurement() -> None:
    estimated, measured = make_table(), make_table(source="measured:bench-7")
    for first, second in ((estimated, measured), (measured, estimated)):
        with pytest.raises(ConfigError, match="an estimate is never mixed with a measurement") as refused:
            first.merged(second)
        assert first.source in str(refused.value)
        assert second.source in str(refused.value)
    with pytest.raises(ConfigError, match="estimate:orin-nx-16gb"):
        estimated.check_comparable(make_table(source="estimate:orin-nx-16gb"))


def test_two_graphs_are_told_apart() -> None:
    with pytest.raises(ConfigError, match="abababababab and cdcdcdcdcdcd"):
        make_table().merged(make_table(graph_sha256="cd" * 32))


def test_two_runs_become_one_table() -> None:
    int8 = make_table(layers=rows({"a": (1.0,), "b": (2.0,)}, ("int8",)), fixed_ms=0.1)
    fp16 = make_table(layers=rows({"a": (3.0,), "b": (4.0,)}, ("fp16",)), fixed_ms=0.2)
    both = int8.merged(fp16)
    assert both.fixed_ms == 0.2
    assert both.ms("a", "int8") == 1.0
    assert both.ms("b", "fp16") == 4.0
    assert both.merged(int8) == both
    with pytest.raises(ConfigError, match=r"disagree about layer 'a' at int8: 1 ms and 1\.5 ms"):
        both.merged(make_table(layers=rows({"a": (1.5,)}, ("int8",))))


def test_a_table_does_not_change() -> None:
    table = make_table()
    with pytest.raises(ValidationError):
        table.fixed_ms = 0.0  # type: ignore[misc]
    plan = PrecisionPlan(rules=(PrecisionRule(layers="*", precision="fp16"),))
    assert table.total_ms(plan) == table.total_ms(plan)
    assert LayerLatency(layer="a", operator="Relu", precision="fp32", ms=0.0).bound is None


def test_the_digest_is_of_what_the_graph_holds() -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [])
    model = onnx.helper.make_model(graph)
    digest = graph_digest(model)
    assert digest == graph_digest(onnx.ModelProto.FromString(model.SerializeToString()))
    model.graph.node[0].op_type = "Tanh"
    assert digest != graph_digest(model)
