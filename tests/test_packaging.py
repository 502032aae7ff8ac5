"""The installed distribution: its version, its types, its command, and how fast the command answers."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

import edge

ROOT = Path(__file__).resolve().parents[1]
VERBS = (
    "demo",
    "train",
    "compress",
    "calibrate",
    "check",
    "estimate",
    "build",
    "run",
    "inspect",
    "verify",
    "sign",
    "doctor",
)
ROUNDS = 15
HELP_LIMIT = 1.5


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge", *arguments], capture_output=True, text=True, check=False)


def _seconds(*command: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, check=True)
    return perf_counter() - start


def test_version_is_that_of_the_distribution() -> None:
    assert edge.__version__ == metadata.version("edge-fusion")
    assert re.search(rf'^version = "{re.escape(edge.__version__)}"$', (ROOT / "pyproject.toml").read_text(), re.M)


def test_types_and_templates_are_package_data() -> None:
    assert resources.files("edge").joinpath("py.typed").is_file()
    for name in ("report.html.j2", "report.css"):
        assert resources.files("edge.report").joinpath("templates").joinpath(name).is_file()


def test_the_command_is_an_entry_point() -> None:
    scripts = {e.name: e for e in metadata.entry_points(group="console_scripts") if e.value.startswith("edge.")}
    assert list(scripts) == ["edge"]
    assert callable(scripts["edge"].load())


def test_the_board_needs_no_training_packages() -> None:
    required = [r for r in metadata.requires("edge-fusion") or [] if "extra ==" not in r]
    names = {re.split(r"[<>=! ;\[]", r)[0].lower() for r in required}
    assert names == {"numpy", "pydantic", "pyyaml", "typer", "rich"}


def test_help_lists_every_verb() -> None:
    done = _command("--help")
    assert done.returncode == 0, done.stderr
    assert [verb for verb in VERBS if not re.search(rf"\b{verb}\b", done.stdout)] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = _command(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


def test_an_unknown_verb_is_a_users_mistake() -> None:
    done = _command("biuld")
    assert done.returncode == 2
    assert "Did you mean 'build'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_answers_as_fast_as_its_two_packages_import() -> None:
    """The median of rounds that time both, one after the other: a machine's speed changes within seconds."""
    ratios = []
    for _ in range(ROUNDS):
        imports = _seconds("-c", "import typer, rich")
        ratios.append(_seconds("-m", "edge", "--help") / imports)
    assert median(ratios) <= HELP_LIMIT, sorted(ratios)
