"""Runs one of the examples from its data to a compressed bundle that runs on streams, and prints what came of it.

python examples/run.py bearing
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
import yaml
from example_fields import EXAMPLES, Example
from example_results import machine_line, stage_rows, streamed_accuracy, streamed_rows
from rich.console import Console

from edge.project import load_project
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, EdgeError

ROOT = Path(__file__).resolve().parents[1]
SIMULATED = "sim:seed=7,duration=20"
RESULTS = "results.md"


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(EXAMPLES)}.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for everything; runs/NAME by default.")] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of real recordings, where the example needs some.")] = (
        ROOT.parent / "shared" / "data"
    ),
    short: Annotated[bool, typer.Option("--short", help="Little data, short training: to see that it runs.")] = False,
) -> None:
    """Prepare, train, compress and run; each step is one command, and is printed."""
    console = Console(stderr=True)
    try:
        example = _find(name)
        run_example(example, (out or ROOT / "runs" / name).resolve(), data, short)
    except EdgeError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except subprocess.CalledProcessError as error:
        console.print(f"error: this ended with {error.returncode}: {_shown(error.cmd)}", markup=False, soft_wrap=True)
        sys.exit(error.returncode)


def run_example(example: Example, out: Path, data: Path, short: bool) -> None:
    """All steps of one example.

    Args:
        example: Which.
        out: Folder for data, project, teacher, bundle and run.
        data: Folder of real recordings.
        short: Whether to take little data and to train shortly.

    Raises:
        subprocess.CalledProcessError: A step failed; it has said why.
        EdgeError: The project is wrong.
    """
    started, prepared, bundle = time.monotonic(), out / "data", out / "compressed" / "bundle"
    if example.prepares:
        recordings = [] if example.recordings is None else [str(data / example.recordings)]
        options = example.short if short else ()
        _call([sys.executable, str(example.folder / "prepare.py"), *recordings, str(prepared), *options])
    project = write_project(example, out, short)
    _edge("train", str(project), "--out", str(out / "teacher"))
    _edge("compress", str(out / "teacher"), "--out", str(out / "compressed"))
    source = source_of(example, prepared)
    _edge("run", str(bundle), "--source", source, "--fault", example.fault, "--out", str(out / "run"))
    write_results(example, out, source, (time.monotonic() - started) / 60)


def write_project(example: Example, out: Path, short: bool) -> Path:
    """The committed project with the folder of this run in place of the default one, as `OUT/project.yaml`."""
    project = load_project(example.folder / ("short.yaml" if short else "project.yaml"))
    content = project.model_dump(mode="json", by_alias=True)
    placed = _moved(content, str(ROOT / "runs" / example.name / "data"), str(out / "data"))
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(out / "project.yaml") as partial:
        partial.write_text(yaml.safe_dump(placed, sort_keys=False), encoding="utf-8")
    return out / "project.yaml"


def source_of(example: Example, prepared: Path) -> str:
    """The streams that the bundle runs on: those of the test split, or the simulator's."""
    return SIMULATED if example.manifest is None else f"manifest:{prepared / example.manifest},split=test"


def write_results(example: Example, out: Path, source: str, minutes: float) -> None:
    """Prints the table of stages and how often the bundle was right on streams; `OUT/results.md` keeps both."""
    lines = stage_rows(out / "compressed" / "report.json")
    if example.manifest is not None:
        bundle, results = out / "compressed" / "bundle", out / "run" / "results.jsonl"
        streamed = streamed_accuracy(bundle, results, source, example.label)
        lines += ["", f"The bundle on the test split as streams, with the fault `{example.fault}`:", ""]
        lines += streamed_rows(streamed)
    lines += ["", f"{machine_line(out / 'compressed' / 'report.json')} All of it took {minutes:.1f} minutes."]
    print(f"\n{example.about}\n\n" + "\n".join(lines))
    with atomic_file(out / RESULTS) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _find(name: str) -> Example:
    if name not in EXAMPLES:
        raise ConfigError(f"there is no example '{name}'", f"choose one of {', '.join(EXAMPLES)}")
    return EXAMPLES[name]


def _moved(content: object, before: str, after: str) -> object:
    """The same mapping with every path below one folder below another."""
    if isinstance(content, dict):
        return {key: _moved(value, before, after) for key, value in content.items()}
    if isinstance(content, list):
        return [_moved(value, before, after) for value in content]
    inside = isinstance(content, str) and (content == before or content.startswith(before + os.sep))
    return after + str(content)[len(before) :] if inside else content


def _edge(*words: str) -> None:
    _call([sys.executable, "-m", "edge", *words])


def _call(command: list[str]) -> None:
    print(f"$ {_shown(command)}", flush=True)
    subprocess.run(command, check=True)


def _shown(command: list[str]) -> str:
    return " ".join(["python", *command[1:]]).replace("python -m edge", "edge", 1)


if __name__ == "__main__":
    typer.run(main)
