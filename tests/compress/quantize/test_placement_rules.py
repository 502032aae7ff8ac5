from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compress.quantize.placement_rules import Kind, Operation, PlacementPlan

WEIGHTED = (Kind.CONVOLUTION, Kind.LINEAR)


def op(kind: Kind, result: str, *inputs: str, takes_levels: bool = True) -> Operation:
    reads = (*inputs, f"{result}.weight") if kind in WEIGHTED else inputs
    return Operation(kind, result, inputs, reads, takes_levels)


def plan_of(*operations: Operation, outputs: tuple[str, ...] = ()) -> PlacementPlan:
    return PlacementPlan(operations, outputs or (operations[-1].result,))


def test_nothing_stands_between_a_convolution_and_its_activation() -> None:
    plan = plan_of(op(Kind.CONVOLUTION, "a", "x"), op(Kind.ACTIVATION, "r", "a"), op(Kind.CONVOLUTION, "b", "r"))
    assert list(plan.tensors) == ["x", "r"]


def test_an_activation_of_a_result_that_others_read_is_not_fused() -> None:
    plan = plan_of(
        op(Kind.CONVOLUTION, "a", "x"),
        op(Kind.ACTIVATION, "r", "a"),
        op(Kind.CONVOLUTION, "b", "r"),
        outputs=("a", "b"),
    )
    assert set(plan.tensors) == {"x", "a", "r"}


def test_the_last_result_stays_float() -> None:
    plan = plan_of(op(Kind.CONVOLUTION, "a", "x"), op(Kind.LINEAR, "logits", "a"))
    assert set(plan.tensors) == {"x", "a"}


def test_inputs_of_an_addition_share_one_scale_and_its_result_has_its_own() -> None:
    plan = plan_of(
        op(Kind.CONVOLUTION, "a", "x"), op(Kind.CONVOLUTION, "b", "a"),
        op(Kind.ADDITION, "s", "a", "b"), op(Kind.CONVOLUTION, "c", "s"),
    )  # fmt: skip
    assert plan.group_of("a") == plan.group_of("b") != plan.group_of("s")
    assert "s" in plan.tensors


def test_a_concatenation_shares_its_scale_with_its_inputs_through_a_pool() -> None:
    plan = plan_of(
        op(Kind.CONVOLUTION, "a", "x"), op(Kind.CONVOLUTION, "b", "x"), op(Kind.SAME_SCALE, "p", "b"),
        op(Kind.CONCATENATION, "j", "a", "p"), op(Kind.CONVOLUTION, "c", "j"),
    )  # fmt: skip
    assert len({plan.group_of(name) for name in ("a", "b", "p", "j")}) == 1
    assert plan.group_of("x") == "x"


def test_an_average_has_a_scale_of_its_own() -> None:
    plan = plan_of(op(Kind.CONVOLUTION, "a", "x"), op(Kind.AVERAGE, "m", "a"), op(Kind.LINEAR, "y", "m"))
    assert {plan.group_of("a"), plan.group_of("m")} == {"a", "m"}


def test_a_residual_stream_between_float_operators_stays_float() -> None:
    plan = plan_of(
        op(Kind.OTHER, "n", "x"), op(Kind.LINEAR, "a", "n"), op(Kind.ADDITION, "s", "x", "a"),
        op(Kind.OTHER, "m", "s"), op(Kind.LINEAR, "b", "m"),
    )  # fmt: skip
    assert set(plan.tensors) == {"n", "m"}


def test_kept_layers_read_the_float_tensor() -> None:
    kept = op(Kind.OTHER, "k", "a", takes_levels=False)
    last = op(Kind.CONVOLUTION, "b", "a")
    plan = plan_of(op(Kind.CONVOLUTION, "a", "x"), kept, last)
    assert plan.readers("a") == [last]


@st.composite
def chains(draw: st.DrawFn) -> list[Operation]:
    """Random graphs: each operation reads one or two of the tensors before it."""
    tensors, operations = ["x"], []
    for index in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(list(Kind)))
        joins = kind in (Kind.ADDITION, Kind.GATE, Kind.CONCATENATION)
        count = 2 if joins and len(tensors) > 1 else 1
        inputs = draw(st.lists(st.sampled_from(tensors), min_size=count, max_size=count, unique=True))
        kind = Kind.OTHER if joins and count < 2 else kind
        operations.append(op(kind, f"t{index}", *inputs))
        tensors.append(f"t{index}")
    return operations


def shares(plan: PlacementPlan) -> set[frozenset[str]]:
    """The groups of INT8 tensors that share a scale."""
    groups: dict[str, set[str]] = {}
    for name in plan.tensors:
        groups.setdefault(plan.group_of(name), set()).add(name)
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=150, deadline=None)
@given(chains())
def test_layers_read_int8_and_join_it_with_one_scale(operations: list[Operation]) -> None:
    plan = PlacementPlan(operations, (operations[-1].result,))
    made = {operation.result: operation for operation in operations}
    taken = {layer.inputs[0] for layer in plan.weighted}
    assert taken <= set(plan.tensors)
    for join in (o for o in operations if o.kind in (Kind.ADDITION, Kind.CONCATENATION) and o.result in taken):
        if any(name in made and made[name].kind in WEIGHTED for name in join.inputs):
            shared = (*join.inputs, *((join.result,) if join.kind is Kind.CONCATENATION else ()))
            assert len({plan.group_of(name) for name in shared}) == 1
            assert set(shared) <= set(plan.tensors)


@settings(max_examples=150, deadline=None)
@given(chains())
def test_another_order_of_the_same_graph_gives_the_same_groups(operations: list[Operation]) -> None:
    depth = {"x": 0}
    for operation in operations:
        depth[operation.result] = 1 + max(depth[name] for name in operation.inputs)
    other = sorted(operations, key=lambda o: (depth[o.result], o.result))
    outputs = (operations[-1].result,)
    assert shares(PlacementPlan(operations, outputs)) == shares(PlacementPlan(other, outputs))
