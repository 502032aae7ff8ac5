"""An exported torch program (`.pt2`) run by torch on the CPU: the eager baseline that compilers are measured by."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.fx import Interpreter

from edge.compress.aten_graph import operator_name
from edge.compress.mac_count import layer_macs
from edge.compress.program.file import LIMIT_BYTES, read_program
from edge.profile.contents import LayerTime, Subject
from edge.profile.subjects.random_inputs import OpenInput, draw_inputs, settle_shapes
from edge.profile.subjects.timed import SubjectConfig, TimedSubject
from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError, ModelError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram
    from torch.fx import Node

    from edge.compress.program.file import Program

WARM_UP_ROUNDS = 3
_WIDER = {torch.bfloat16: torch.float32}  # NumPy lacks it, so it is drawn wider
_PRECISIONS: dict[torch.dtype, Any] = {torch.float32: "fp32", torch.float16: "fp16"}


def open_exported_program(path: Path, config: SubjectConfig) -> TimedSubject:
    """Reads the file by the allow-list of `edge.compress.program` and draws its inputs.

    Raises:
        ModelError: It cannot be read, or holds more than tensors and operators.
        ConfigError: A shape is missing, or another engine is asked for.
    """
    if config.engine != "auto":
        raise ConfigError(f"{path.name} is a torch program, which torch runs here", "leave --engine out")
    content = _content(path)
    program = read_program(content, str(path))
    inputs, kinds = _declared(program)
    settled = settle_shapes(inputs, config.shapes, config.batch)
    drawn = draw_inputs(inputs, settled.shapes, config.seed)
    tensors = [torch.from_numpy(drawn[name]).to(kinds[name]) for name in program.input_names]
    torch.set_num_threads(config.threads)
    module = program.exported.module()
    return TimedSubject(
        Subject(
            name=path.name,
            kind="program",
            digest=hashlib.sha256(content).hexdigest(),
            engine=f"torch-{torch.__version__.split('+')[0]}-cpu",
            inputs=settled.shapes,
        ),
        _runner(module, tensors),
        batch=settled.batch,
        threads={"engine": config.threads},
        layers=lambda rounds: program_layer_times(program.exported, module, tensors, rounds),
        notes=(*settled.notes, "Layers are timed call by call, as the interpreter of the graph runs them."),
    )


def program_layer_times(
    exported: ExportedProgram, module: torch.fx.GraphModule, tensors: list[torch.Tensor], rounds: int
) -> tuple[LayerTime, ...]:
    """Mean time of every operator call over `rounds` inferences, in their order."""
    timer = _TimingInterpreter(module)
    with torch.inference_mode():
        for _ in range(WARM_UP_ROUNDS + rounds):
            timer.run(*tensors)
    counted = iter(layer_macs(exported))
    pending = next(counted, None)
    layers = []
    for node, taken in timer.taken_ns.items():
        macs = None
        if pending is not None and operator_name(node) == pending.operator:
            macs, pending = pending.macs, next(counted, None)
        layers.append(_layer(node, sum(taken[-rounds:]) / rounds / NS_PER_MS, macs, timer.moved[node]))
    return tuple(layers)


class _TimingInterpreter(Interpreter):
    """Runs a graph call by call and keeps how long each took."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=True)
        self.taken_ns: dict[Node, list[int]] = {}
        self.moved: dict[Node, tuple[int, torch.dtype | None]] = {}

    def run_node(self, n: Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        arguments = [value for value in self.fetch_args_kwargs_from_env(n)[0] if isinstance(value, torch.Tensor)]
        start = time.perf_counter_ns()
        made = super().run_node(n)
        self.taken_ns.setdefault(n, []).append(time.perf_counter_ns() - start)
        made_tensors = [
            value for value in (made if isinstance(made, (tuple, list)) else (made,)) if torch.is_tensor(value)
        ]
        size = sum(value.nbytes for value in (*arguments, *made_tensors))
        self.moved[n] = size, made_tensors[0].dtype if made_tensors else None
        return made


def _layer(node: Node, ms: float, macs: int | None, moved: tuple[int, torch.dtype | None]) -> LayerTime:
    size, dtype = moved
    precision = _PRECISIONS.get(dtype) if dtype is not None else None
    return LayerTime(name=node.name, kind=operator_name(node), ms=ms, macs=macs, bytes=size, precision=precision)


def _runner(module: torch.nn.Module, tensors: list[torch.Tensor]) -> Any:
    @torch.inference_mode()
    def run() -> object:
        return module(*tensors)

    try:
        run()
    except Exception as error:  # of any operator
        raise ModelError(f"the program does not run: {first_line(error)}", "export it again") from error
    return run


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ModelError(f"{path} is larger than {LIMIT_BYTES} bytes", "export a smaller program")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})", "pass the path of a .pt2 file") from error


def _declared(program: Program) -> tuple[dict[str, OpenInput], dict[str, torch.dtype]]:
    nodes = {node.name: node for node in program.exported.graph.nodes if node.op == "placeholder"}
    inputs, kinds = {}, {}
    for name, placeholder in zip(program.input_names, program.exported.graph_signature.user_inputs, strict=True):
        value = nodes[str(placeholder)].meta["val"]
        kinds[name] = value.dtype
        dtype = np.dtype(str(torch.empty(0, dtype=_WIDER.get(value.dtype, value.dtype)).numpy().dtype))
        inputs[name] = OpenInput(dtype, tuple(e if isinstance(e, int) else str(e) for e in value.shape))
    return inputs, kinds
