"""`edge profile`: how long a bundle or any model takes, on what machine in which state, and whether that is slower."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.engine_choice import EngineName
from edge.cli.trust import RequireSignature, TrustedKeyFiles

if TYPE_CHECKING:
    from edge.profile.measuring import ProfileOrder


class ScenarioName(str, Enum):
    """Scenarios by the name that `--scenario` takes."""

    single = "single"
    stream = "stream"
    offline = "offline"


def profile(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="SUBJECT...",
            help="A bundle, or a .onnx, .pt2 or .engine file; with --compare two, or profile.json.",
        ),
    ],
    scenario: Annotated[
        ScenarioName | None,
        typer.Option("--scenario", help="One after the other (default), at a source's pace, or as fast as it goes."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Samples for a bundle, as of `edge run`; sim by default. May be repeated."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="1,000 by default; rounds of a comparison, 400.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.1, help="Seconds, instead of samples; of a step of --load.")
    ] = None,
    percentile: Annotated[
        str | None, typer.Option("--percentile", help="Such as p99: fewer samples than it needs are an error.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples at once; 8 by default for offline, else 1.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option("--shape", help="NAME=1,3,224,224 of an input that leaves its extents open.")
    ] = None,
    choice: Annotated[EngineName, typer.Option("--engine", help="What runs a bundle.")] = EngineName.auto,
    dialect: Annotated[str | None, typer.Option("--dialect", help="Graph of a bundle: s8, s8f16, u8, fp32.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of an engine on the CPU.")] = 1,
    device: Annotated[int, typer.Option("--device", min=0, help="Index of the CUDA device, for TensorRT.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of random inputs and orders.")] = 0,
    layers: Annotated[bool, typer.Option("--layers/--no-layers", help="Time each layer, in another pass.")] = True,
    out: Annotated[Path, typer.Option("--out", help="Folder for profile.json, .html, trace.json, CSV.")] = Path(
        "runs/profile"
    ),
    compare: Annotated[bool, typer.Option("--compare", help="Time two subjects in turns: B over A.")] = False,
    against: Annotated[Path | None, typer.Option("--against", help="Compare with a profile.json of before.")] = None,
    trend: Annotated[
        Path | None, typer.Option("--trend", help="Add the run to this JSONL and compare with those in it.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, max=0.99, help="Share of time that is no difference.")
    ] = 0.02,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 where the machine was in another state than before.")
    ] = False,
    load: Annotated[
        bool, typer.Option("--load", help="Raise the rates of synthetic sensors until a bundle misses.")
    ] = False,
    cameras: Annotated[int, typer.Option("--cameras", min=1, help="Of --load; a bundle reads its own of them.")] = 1,
    lidars: Annotated[int, typer.Option("--lidars", min=1, help="Of --load, likewise.")] = 1,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time a model or bundle and say how sure that is; exit 3 where it is slower than what it is compared with.

    Example: edge profile runs/demo/bundle --percentile p99

    Example: edge profile --compare before.onnx after.onnx --json
    """
    from edge.cli.profile_orders import ComparisonOrder, run_comparison, run_profile
    from edge.profile.comparison.verdict import ComparisonConfig
    from edge.profile.measuring import ProfileOrder
    from edge.profile.sample_rule import SamplingConfig
    from edge.profile.subjects.random_inputs import parse_shapes
    from edge.profile.subjects.timed import SubjectConfig
    from edge.runtime.trust import TrustPolicy

    order: ProfileOrder = ProfileOrder(
        scenario=scenario.value if scenario else "single",
        rule=SamplingConfig(samples=samples, duration_s=duration, percentile=percentile, seed=seed),
        opened=SubjectConfig(
            engine=choice.value,
            dialect=dialect,
            threads=threads,
            device=device,
            shapes=parse_shapes(shape or []),
            sources=tuple(source or ()),
            seed=seed,
        ),
        batch=batch,
        trust=TrustPolicy.of_user(trusted_key or (), require_signature=require_signature),
        **({} if layers else {"layer_rounds": 0}),
    )
    if load:
        from edge.cli.profile_load import raise_load
        from edge.profile.load.config import STEP_S, LoadConfig

        seconds = duration or STEP_S
        raise_load(
            subjects,
            order,
            LoadConfig(cameras=cameras, lidars=lidars, seed=seed, seconds=seconds),
            out,
            as_json=as_json,
        )
        return
    rounds = {} if samples is None else {"rounds": max(2, samples)}
    comparison = ComparisonConfig(tolerance=tolerance, strict=strict, seed=seed, **rounds)
    asked = ComparisonOrder(subjects, scenario is not None, against, trend, comparison, as_json)
    if compare:
        run_comparison(asked, order)
    else:
        run_profile(asked, order, out)
