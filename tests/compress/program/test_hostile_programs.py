"""Files that pass for programs: whatever torch would unpickle, load, import, evaluate or call is refused before it can.

The payloads are real: each makes a file where it runs, and none may.
"""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.compress.program.file import read_program
from tests.compress.program.samples import (
    CONSTANTS,
    WEIGHTS,
    closed,
    code,
    edited,
    example,
    exported,
    harmful_object,
    harmful_pickle,
    opened,
    refused,
    replaced,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = "archive/data/sample_inputs/model.pt"
PLAIN = "take a program that holds only tensors and operators"


def test_the_pickles_of_these_tests_do_run_where_torch_reads_them(mark: Path) -> None:
    torch.load(io.BytesIO(harmful_pickle(mark)), weights_only=False)
    assert mark.exists()


def test_sample_inputs_are_not_unpickled(mark: Path) -> None:
    content = closed({**opened(exported()), SAMPLES: harmful_pickle(mark)})
    program = read_program(content, "some.pt2")
    assert program.exported.example_inputs is None
    assert len(program.exported.module()(*example())) == 2
    assert not mark.exists()


@pytest.mark.parametrize("member", [WEIGHTS, CONSTANTS])
def test_pickled_tensors_are_refused(member: str, mark: Path) -> None:
    content = opened(edited(lambda c: next(iter(c["config"].values())).update(use_pickle=True), member))
    name = next(iter(json.loads(content[member])["config"].values()))["path_name"]
    content[f"{member.rpartition('/')[0]}/{name}"] = harmful_pickle(mark)
    refused(closed(content), rf"holds a pickled object; {PLAIN}", mark)


@pytest.mark.parametrize("prefix", ["opaque_obj_0", "custom_obj_0"])
def test_objects_among_the_constants_are_refused(prefix: str, mark: Path) -> None:
    def rename(content: Any) -> None:
        content["config"]["shift"].update(path_name=prefix, tensor_meta=None)

    files = {**opened(edited(rename, CONSTANTS)), f"archive/data/constants/{prefix}": harmful_object(mark)}
    refused(closed(files), f"'archive/data/constants/{prefix}' does not belong", mark)
    refused(edited(rename, CONSTANTS), r"model_constants_config\.json .*path_name", mark)


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.load",
        "torch.os.system",
        "torch.serialization.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.save.default",  # writes a pickle to any path
        "torch.ops.aten.from_file.default",  # maps a file, and makes one
        "torch.ops.aten.from_file.out",
        "torch.ops.aten._print.default",
        "torch.ops.aten.item.default",
        "torch.ops.aten.format.default",
        "torch.ops.aten.relu",
        "torch.ops.aten.relu.op",
        "torch.ops.aten.relu.default.__call__",
        "torch.ops.aten.__class__.mro",
        "torch.ops.aten.__init__.__globals__",
        "torch.ops.aten.no_such_operator.default",
        "torch.ops.higher_order.cond",
        "torch.ops.inductor._alloc_from_pool.default",
        "torch.ops.aten.relu.default\n",
        "torch._C._jit_get_all_schemas",
        "math.exp",
        "_operator.add",
        "_operator.attrgetter",
        "os.system",
        "builtins.exec",
        "#extension:operator",
        "",
    ],
)
def test_whatever_is_no_operator_on_tensors_is_refused(target: str) -> None:
    torch.ops.aten.relu.default  # noqa: B018  (known to torch.ops from here on)
    refused(edited(lambda c: c["graph_module"]["graph"]["nodes"][1].update(target=target)), "model.json calls '")


def test_a_call_with_the_arguments_of_a_command_is_refused_too(mark: Path) -> None:
    def harm(content: Any) -> None:
        node = content["graph_module"]["graph"]["nodes"][1]
        node["target"], node["inputs"][0]["arg"] = "torch.os.system", {"as_string": f"touch {mark}"}

    refused(edited(harm), r"calls 'torch\.os\.system'", mark)


def test_code_in_names_is_refused(mark: Path) -> None:
    """torch writes `def forward(self, NAME)` with them, and runs that: a default value is computed at once."""
    refused(replaced("present", f"present={code(mark)}"), "is not what torch writes", mark)
    refused(replaced("relu", f"relu; {code(mark)}; x"), "is not what torch writes", mark)


def test_code_in_names_of_arguments_is_refused(mark: Path) -> None:
    def harm(content: Any) -> None:
        signature = content["graph_module"]["module_call_graph"][0]["signature"]
        signature["forward_arg_names"] = ["image", f"present={code(mark)}"]

    refused(edited(harm), "is not what torch writes .*forward_arg_names", mark)


@pytest.mark.parametrize("name", ['stem"), print("', "a..b", "__class__.weight", "stem.__init__", ".", "stem\n", "é"])
def test_names_of_parameters_are_paths(name: str) -> None:
    files = opened(replaced("stem.weight", name))
    files[WEIGHTS] = opened(replaced("stem.weight", name, WEIGHTS))[WEIGHTS]
    refused(closed(files), r"names a parameter|is not what torch writes")


def nested(kind: str, context: object, *children: object) -> dict[str, object]:
    return {"type": kind, "context": context, "children_spec": list(children)}


LEAF: dict[str, object] = {"type": None, "context": None, "children_spec": []}
FACTORY = {"default_factory_module": "edge_probe", "default_factory_name": "x", "dict_context": ["a", "b"]}
ENUM = '[{"__enum__": true, "fqn": "edge_probe:Kind", "name": "a"}, "b"]'


@pytest.mark.parametrize("which", ["in_spec", "out_spec"])
@pytest.mark.parametrize(
    "spec",
    [
        [1, nested("collections.defaultdict", FACTORY, LEAF, LEAF)],
        [1, nested("builtins.dict", ENUM, LEAF, LEAF)],
        [1, nested("builtins.tuple", ENUM, LEAF, LEAF)],
        [1, nested("collections.namedtuple", "edge_probe.Pair", LEAF, LEAF)],
        [1, nested("edge_probe.Pair", "null", LEAF, LEAF)],
        [1, nested("builtins.dict", '["a\\"b", "c"]', LEAF, LEAF)],
        [1, nested("builtins.dict", '{"a": 1}', LEAF, LEAF) | {"more": 1}],
        [2, nested("builtins.tuple", "null", LEAF, LEAF)],
        [1, nested("builtins.dict", '{"a": 1}', LEAF)],
        [1],
        [1, None],
        {},
    ],
)
def test_containers_that_would_be_imported_are_refused(
    spec: object, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edge_probe.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    def harm(content: Any) -> None:
        content["graph_module"]["module_call_graph"][0]["signature"][which] = json.dumps(spec)

    refused(edited(harm), "nests tensors in something else")
    assert "edge_probe" not in sys.modules


def test_keys_of_inputs_are_names_too(mark: Path) -> None:
    """They become the names of arguments where a file gives none."""
    given = nested("builtins.tuple", "null", LEAF)
    spec = [1, nested("builtins.tuple", "null", given, nested("builtins.dict", json.dumps([code(mark)]), LEAF))]

    def harm(content: Any) -> None:
        signature = content["graph_module"]["module_call_graph"][0]["signature"]
        signature["in_spec"], signature["forward_arg_names"] = json.dumps(spec), None

    refused(edited(harm), "nests tensors in something else", mark)


def graph_of(content: Any) -> Any:
    return content["graph_module"]["graph"]


def expression(text: str) -> dict[str, Any]:
    return {"as_expr": {"expr_str": text, "hint": {"as_int": 1}}}


CHANGES: dict[str, tuple[Callable[[Any, str], object], str]] = {
    "guards": (lambda c, code: c.update(guards_code=[code]), "holds code"),
    "shape": (
        lambda c, code: graph_of(c)["tensor_values"]["image"]["sizes"].__setitem__(0, expression(code)),
        "has dynamic shapes",
    ),
    "stride": (
        lambda c, code: graph_of(c)["tensor_values"]["image"]["strides"].__setitem__(0, expression(code)),
        "has dynamic shapes",
    ),
    "symbol": (lambda c, code: graph_of(c).update(sym_int_values={"s": expression(code)}), "has dynamic shapes"),
    "boolean": (lambda c, code: graph_of(c).update(sym_bool_values={"s": expression(code)}), "has dynamic shapes"),
    "range": (lambda c, _: c.update(range_constraints={"s0": {"min_val": 1, "max_val": 2}}), "has dynamic shapes"),
    "object input": (
        lambda c, _: c["graph_module"]["signature"]["input_specs"].__setitem__(
            0, {"custom_obj": {"arg": {"name": "o", "class_fqn": "a.B"}, "custom_obj_name": "o"}}
        ),
        "holds an object that is no tensor",
    ),
    "object": (
        lambda c, _: graph_of(c).update(custom_obj_values={"o": {"name": "o", "class_fqn": "a.B"}}),
        "holds an object that is no tensor",
    ),
    "object argument": (
        lambda c, _: graph_of(c)["nodes"][1]["inputs"][0].update(
            arg={"as_custom_obj": {"name": "shift", "class_fqn": "a.B"}}
        ),
        "holds an object that is no tensor",
    ),
    "operator argument": (
        lambda c, _: graph_of(c)["nodes"][1]["inputs"][0].update(arg={"as_operator": "torch.hub.load"}),
        "passes code to an operator",
    ),
    "graph argument": (
        lambda c, _: graph_of(c)["nodes"][1]["inputs"][0].update(arg={"as_graph": {"name": "g", "graph": {}}}),
        "passes code to an operator",
    ),
    "named tuple": (
        lambda c, _: c["graph_module"].update(treespec_namedtuple_fields={"a.B": {"field_names": ["x"]}}),
        "treespec_namedtuple_fields",
    ),
    "verifier": (lambda c, _: c.update(verifiers=["MINE"]), "verifiers"),
    "device": (lambda c, _: graph_of(c)["tensor_values"]["image"].update(device={"type": "mine"}), "device"),
    "layout": (lambda c, _: graph_of(c)["tensor_values"]["image"].update(layout=1), "layout"),
    "type": (lambda c, _: graph_of(c)["tensor_values"]["image"].update(dtype=99), "describes no tensor"),
    "rank": (lambda c, _: graph_of(c)["tensor_values"]["image"].update(sizes=[]), "describes no tensor"),
    "huge": (
        lambda c, _: graph_of(c)["tensor_values"]["image"].update(sizes=[{"as_int": 1 << 20}] * 4),
        "describes no tensor",
    ),
    "two values": (
        lambda c, _: graph_of(c)["nodes"][1]["inputs"][0]["arg"].update(as_int=1),
        "must hold one value",
    ),
    "user's number": (
        lambda c, _: c["graph_module"]["signature"]["input_specs"].__setitem__(
            0, {"constant_input": {"name": "n", "value": {"as_int": 1}}}
        ),
        "constant_input",
    ),
    "unknown key": (lambda c, _: c.update(plugins=["a"]), "plugins"),
    "no graph": (lambda c, _: c.pop("graph_module"), "graph_module"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_more_than_tensors_and_operators_is_refused(change: str, mark: Path) -> None:
    harm, message = CHANGES[change]
    refused(edited(lambda content: harm(content, code(mark))), rf"models/model\.json.*{message}", mark)


def test_metadata_is_for_layers_names_alone() -> None:
    def harm(content: Any) -> None:
        for node in graph_of(content)["nodes"]:
            node["metadata"] |= {"source_fn_stack": "a,torch.hub.load", "custom": "{", "from_node": "{"}
        content["graph_module"]["metadata"] = {"custom": "{"}

    program = read_program(edited(harm), "some.pt2")
    metas = [node.meta for node in program.exported.graph.nodes if node.op == "call_function"]
    assert all({*meta} <= {"val", "nn_module_stack", "torch_fn"} for meta in metas)
    assert any(meta["nn_module_stack"] for meta in metas)


def test_nesting_in_text_is_bounded_too() -> None:
    deep = '[1, {"type": "builtins.tuple", "context": "null", "children_spec": ' + "[" * 100_000

    def harm(content: Any) -> None:
        content["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = deep

    refused(edited(harm), "nests tensors in something else")
