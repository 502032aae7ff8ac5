"""`edge run`: a bundle on live or recorded streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.engine_choice import EngineName
from edge.cli.trust import RequireSignature, TrustedKeyFiles, open_trusted, signature_line

if TYPE_CHECKING:
    from rich.table import Table

    from edge.report.contents import RuntimeReport
    from edge.runtime.statistics import Distribution


def run(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    source: Annotated[
        list[str],
        typer.Option(
            "--source", help="sim, sim:seed=N, kitti:DIR, mcap:FILE, manifest:FILE.csv or STREAM=FILE.wav; repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for results.jsonl and report.json.")] = Path("runs/run"),
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.1, help="Seconds; all there is by default.")
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime/--fast", help="At the recording's pace, or in repeatable virtual time.")
    ] = False,
    dialect: Annotated[
        str | None,
        typer.Option("--dialect", help="Graph to run: s8, s8f16, u8, fp32; by default what suits this host."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Of ONNX Runtime; 1, or with --capture-cores all cores that are left."),
    ] = None,
    choice: Annotated[
        EngineName, typer.Option("--engine", help="What runs the model; auto: TensorRT where an engine was built.")
    ] = EngineName.auto,
    device: Annotated[int, typer.Option("--device", min=0, help="Index of the CUDA device, for TensorRT.")] = 0,
    compute_ms: Annotated[
        float, typer.Option("--compute-ms", min=0, help="What the model takes in virtual time.")
    ] = 10.0,
    topics: Annotated[
        list[str] | None,
        typer.Option("--map", help="STREAM=/topic of an MCAP recording, where it is not clear; may be repeated."),
    ] = None,
    rig: Annotated[
        Path | None, typer.Option("--rig", help="rig.yaml of an MCAP recording; by default its own or the bundle's.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Record all samples and results to this MCAP file.")
    ] = None,
    record_jpeg: Annotated[
        int | None,
        typer.Option("--record-jpeg", min=1, max=100, help="Record images as JPEG of this quality, not as they are."),
    ] = None,
    view: Annotated[
        bool, typer.Option("--view", help="Show the run in rerun's viewer; lossy, never in the way.")
    ] = False,
    view_save: Annotated[
        Path | None, typer.Option("--view-save", help="Save that view to this .rrd file, for: rerun FILE.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", help="Break a stream on purpose: STREAM:KIND@START[+LENGTH][,key=value]; repeatable."),
    ] = None,
    fault_seed: Annotated[int, typer.Option("--fault-seed", min=0, help="What the faults' chances are drawn by.")] = 0,
    max_gap: Annotated[
        float | None, typer.Option("--max-gap", help="Seconds; exit 3 where results stayed away for longer.")
    ] = None,
    min_complete: Annotated[
        float | None, typer.Option("--min-complete", help="0 to 1; exit 3 where fewer results were complete.")
    ] = None,
    max_recovery: Annotated[
        float | None,
        typer.Option("--max-recovery", help="Seconds; exit 3 where results stayed incomplete longer after the faults."),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", help="Such as 512MB; a run that might take more is refused before it starts."),
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option("--priority", min=1, max=99, help="SCHED_FIFO for matching and inference, with --realtime."),
    ] = None,
    niceness: Annotated[
        int | None, typer.Option("--nice", min=-20, max=19, help="Theirs, where they have no priority.")
    ] = None,
    cores: Annotated[str | None, typer.Option("--cores", help="Where the model runs, such as 2,3 or 4-7.")] = None,
    capture_cores: Annotated[
        str | None, typer.Option("--capture-cores", help="Left to capture and matching; the model runs elsewhere.")
    ] = None,
    lock_memory: Annotated[bool, typer.Option("--lock-memory", help="Keep what was used once in memory.")] = False,
    switch_interval_ms: Annotated[
        float | None,
        typer.Option("--switch-interval-ms", min=0.01, max=1000, help="Of Python's threads; 5 by default."),
    ] = None,
    as_permitted: Annotated[
        bool,
        typer.Option("--as-permitted", help="Run without those that the kernel does not permit."),
    ] = False,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    html: Annotated[bool, typer.Option("--html", help="Also write report.html; needs jinja2 and matplotlib.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's figures as JSON.")] = False,
) -> None:
    """Synchronize a source's streams, fuse them with a bundle's model, and report ages, gaps and completeness.

    Example: edge run runs/demo/bundle --source kitti:2011_09_26_drive_0052_sync --source audio=street.wav --realtime

    A run that --record wrote to a file is repeated byte for byte by --source mcap:FILE; Foxglove shows that file.
    """
    import json
    from contextlib import nullcontext

    from rich.console import Console

    from edge.cli.realtime_options import made_in, realtime_scope
    from edge.cli.run_inputs import open_recording, open_source, open_view, recording_options, with_faults
    from edge.fused_run import check_replaceable, run_bundle
    from edge.run_engine import open_engine
    from edge.run_limits import RunLimits, best_state, check_limits
    from edge.runtime.byte_sizes import parse_size
    from edge.runtime.engines.tensorrt import RunnerConfig
    from edge.runtime.pipeline import RunSettings

    check_replaceable(out)
    recording = open_recording(record, record_jpeg)
    shown = open_view(view, view_save)
    scope = realtime_scope(
        priority=priority,
        niceness=niceness,
        cores=cores,
        capture_cores=capture_cores,
        lock_memory=lock_memory,
        switch_interval_ms=switch_interval_ms,
        as_permitted=as_permitted,
        threads=threads,
        in_real_time=realtime,
    )
    opened = open_trusted(bundle, require_signature, trusted_key)
    opened_source = open_source(source, opened, duration, recording_options(source, topics or [], rig, opened))
    given = with_faults(opened_source, fault or [], fault_seed)
    limits = RunLimits(max_gap_s=max_gap, min_complete=min_complete, max_recovery_s=max_recovery)
    limits.check_answerable(given)
    limit = None if memory_limit is None else parse_size(memory_limit)
    settings = RunSettings(realtime=realtime, duration_s=duration, compute_ms=compute_ms, memory_limit=limit)
    config = RunnerConfig(device=device)
    with scope or nullcontext(), Console(stderr=True).status(f"Fusing {given.description[:60]} ...") as status:
        engine = made_in(scope, lambda n: open_engine(opened, dialect, n, choice.value, config), threads)
        fused = 0

        def show() -> None:
            nonlocal fused
            fused += 1
            status.update(f"{fused} results")

        report = run_bundle(
            opened,
            given,
            out,
            settings,
            engine=engine,
            recording=recording,
            view=shown,
            realtime=scope,
            html=html,
            on_result=show,
        )
    if as_json:
        typer.echo(json.dumps(report.model_dump(mode="json", by_alias=True)))
    else:
        typer.echo(signature_line(opened.signature))
        _print(report, out, record, view_save)
    check_limits(report, limits, best_state(given, opened))


def _print(report: RuntimeReport, out: Path, record: Path | None, view: Path | None) -> None:
    from rich.console import Console

    console = Console()
    console.print(report.source, highlight=False)
    console.print(summary_table(report))
    for note in _read_notes(out):
        console.print(note, highlight=False)
    page = out / "report.html" if (out / "report.html").exists() else out / "report.json"
    console.print(f"Results: {out / 'results.jsonl'}   Report: {page}", highlight=False)
    if record:
        console.print(f"Recording: {record}", highlight=False)
    if view and view.exists():
        console.print(f"View: rerun {view}", highlight=False)


def summary_table(report: RuntimeReport) -> Table:
    """The figures of a run, one a row."""
    from rich.table import Table

    table = Table("", "", title=f"{report.engine}, {report.time} time", show_header=False)
    shares = ", ".join(f"{state} {share:.1%}" for state, share in report.completeness.items())
    table.add_row("fused", f"{report.fused} results for {report.anchors} anchors, {report.predicted} predicted")
    table.add_row("completeness", shares or "-")
    levels = ", ".join(f"{level} {share:.1%}" for level, share in report.levels.items())
    table.add_row("level, share of time", levels or "-")
    table.add_row("dropped", ", ".join(f"{reason} {n}" for reason, n in report.dropped.items()) or "none")
    if report.deskew:
        table.add_row("deskew", ", ".join(f"{what} {n}" for what, n in report.deskew.items()))
    for stream, age in report.age_ms.items():
        table.add_row(f"age of {stream}, ms", _spread(age))
    for name in ("spread_ms", "sync_wait_ms", "lag_ms"):
        found = getattr(report, name)
        if found is not None and found.n:
            table.add_row(name.replace("_ms", ", ms").replace("_", " "), _spread(found))
    for name, taken in report.stages_ms.items():
        table.add_row(f"{name}, ms", _spread(taken))
    for stream, offset in report.offset_ms.items():
        table.add_row(f"{stream} minus anchor, ms", f"{offset:+.3f} mean")
    if report.max_gap_s is not None:
        table.add_row("longest silence, s", f"{report.max_gap_s:.3f}")
    if report.memory_peak_mib is not None:
        limit = "no limit" if report.memory_limit_mib is None else f"limit {report.memory_limit_mib:.0f}"
        planned = sum(report.memory_mib.values())
        table.add_row("memory, MiB", f"{planned:.0f} planned, {limit}; {report.memory_peak_mib:.0f} at the peak")
        table.add_row("of it", "\n".join(f"{mib:.1f}  {what}" for what, mib in report.memory_mib.items()))
    if report.recovery_s is not None:
        table.add_row("recovery after the faults, s", f"{report.recovery_s:.3f}")
    return table


def _spread(values: Distribution) -> str:
    named = (("p50", values.p50), ("p90", values.p90), ("p99", values.p99), ("max", values.max))
    return "  ".join(f"{name} {value:.2f}" for name, value in named if value is not None)


def _read_notes(out: Path) -> tuple[str, ...]:
    from edge.report.publish import read_report

    return read_report(out / "report.json").notes
