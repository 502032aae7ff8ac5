"""All benchmarks, one after the other, one thread; then results.md from what they wrote.

    python benchmarks/side_by_side.py [--only PART ...] [--write-only] [--demo runs/demo]

Each part runs in a process of its own and writes results/PART.json, or prints what goes to results/PART.txt. Exit code
3 where a part misses what it must reach, 1 where one fails; results.md is written in any case.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sections
from peers.process import ONE_THREAD
from results import write_result

from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
RECORDED = ROOT / "runs" / "benchmarks" / "synchronize_drive_0009.json"  # figures of a recording are not published
SECTIONS: dict[str, Callable[[sections.Result], list[str]]] = {
    "synchronize": sections.synchronization,
    "producer": sections.producers,
    "preprocessing": sections.preprocessing,
    "int8_speed": sections.int8,
    "bundle_against_ort": sections.bundle,
    "simulator": sections.simulator,
}
PRINTED = {
    "deskew": "Motion compensation of a sweep",
    "live": "Pushing live",
    "recording": "Recording and replaying MCAP",
    "pruning": "Structured pruning",
    "watching": "What watching over a run costs",
}
INTRODUCTION = """# Benchmarks, side by side

Written by `make bench`, which runs everything below and may be repeated by anyone; `make bench-peers` installs the
peers first, and says what Debian package the rest needs. One thread everywhere; all sides of a comparison take turns
in one run, so that what else the machine does hits them alike. The machine is virtual and its two cores are shared,
so read ratios and medians, not single times. A part that cannot be run keeps its last result. Nothing here was
measured on a board.
"""


def main() -> int:
    """Runs the parts and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*SECTIONS, *PRINTED])
    parser.add_argument("--write-only", action="store_true")
    parser.add_argument("--demo", type=Path, default=ROOT / "runs" / "demo")
    arguments = parser.parse_args()
    codes = {}
    if not arguments.write_only:
        parts = commands(arguments.demo)
        codes = {name: run(name, parts[name]) for name in parts if name in (arguments.only or parts)}
        write_result(RESULTS / "machine.json", {})
    write_page()
    failed = [name for name, code in codes.items() if code not in (0, 3)]
    missed = [name for name, code in codes.items() if code == 3]
    print(f"failed: {', '.join(failed) or 'none'}; below what they must reach: {', '.join(missed) or 'none'}")
    return 1 if failed else 3 if missed else 0


def commands(demo: Path) -> dict[str, list[str]]:
    """Script and arguments of each part that can run here."""
    names = [name for name in SECTIONS if name != "bundle_against_ort"]
    found = {name: [f"{name}.py", "--out", str(RESULTS / f"{name}.json")] for name in names}
    found["synchronize"] += ["--recorded-out", str(RECORDED)]
    found |= {name: [f"{name}.py"] for name in PRINTED}
    if (demo / "bundle").is_dir() and (demo / "data").is_dir():
        out = str(RESULTS / "bundle_against_ort.json")
        found["bundle_against_ort"] = ["bundle_against_ort.py", str(demo), "--out", out]
    else:
        print(f"bundle_against_ort: not run, there is no demo in {demo.name}: make demo")
    return found


def run(name: str, command: list[str]) -> int:
    """Exit code of a part; what a part prints that writes no file is kept."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    script = [sys.executable, str(HERE / command[0]), *command[1:]]
    environment = {**os.environ, **ONE_THREAD}
    if name in PRINTED:
        done = subprocess.run(script, env=environment, check=False, stdout=subprocess.PIPE, text=True)
        code = done.returncode
        print(done.stdout)
        keep_text(RESULTS / f"{name}.txt", done.stdout, failed=code not in (0, 3))
    else:
        code = subprocess.run(script, env=environment, check=False).returncode
    print(f"== {name}: {time.monotonic() - start:.0f} s, exit code {code}", flush=True)
    return code


def keep_text(path: Path, text: str, failed: bool) -> None:
    """What a part printed, unless it failed."""
    if not failed:
        with atomic_file(path) as draft:
            draft.write_text(text, encoding="utf-8")


def write_page() -> None:
    """results.md from the result files that are there."""
    lines = [INTRODUCTION, *sections.machine(json.loads((RESULTS / "machine.json").read_text())["environment"])]
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            lines += [*section(result), f"`benchmarks/{name}.py`, `benchmarks/results/{name}.json`", ""]
    for name, title in PRINTED.items():
        path = RESULTS / f"{name}.txt"
        if path.exists():
            lines += [f"## {title}", "", "```", path.read_text(encoding="utf-8").rstrip(), "```", ""]
            lines += [f"`benchmarks/{name}.py`", ""]
    with atomic_file(HERE / "results.md") as draft:
        draft.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
