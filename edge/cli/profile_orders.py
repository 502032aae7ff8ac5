"""What `edge profile` does once its options are read: profiles, compares, writes and prints."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from edge.cli.quiet_status import status_line
from edge.devices.board import read_board
from edge.profile.comparison.in_turns import compare_in_turns
from edge.profile.comparison.trend import TrendVerdict, add_to_trend
from edge.profile.comparison.with_stored import compare_profiles
from edge.profile.measuring import measure, open_for
from edge.profile.stored import PAGE_NAME, PROFILE_NAME, read_profile, write_profile
from edge.profile.subjects.opening import is_bundle
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.profile.comparison.verdict import ComparisonConfig, ComparisonReport
    from edge.profile.contents import Profile
    from edge.profile.measuring import ProfileOrder


@dataclass(frozen=True)
class ComparisonOrder:
    """What is compared with what, and how that is told.

    Attributes:
        subjects: Paths.
        is_scenario_given: Whether the scenario is the user's; otherwise that of a stored profile holds.
        against: A stored profile.
        trend: A file of runs.
        config: When something is slower.
        as_json: Print JSON.
    """

    subjects: list[Path]
    is_scenario_given: bool
    against: Path | None
    trend: Path | None
    config: ComparisonConfig
    as_json: bool


def run_profile(asked: ComparisonOrder, order: ProfileOrder, out: Path) -> None:
    """Profiles one subject, writes the folder, and compares with what was before.

    Raises:
        ConfigError: Not one subject, or an option does not go with it.
        GateError: It is slower, or the machine is in another state and `--strict` is set.
    """
    if len(asked.subjects) != 1:
        raise ConfigError(f"{len(asked.subjects)} subjects are given", "give one, or two with --compare")
    stored = read_profile(asked.against) if asked.against else None
    order = order if stored is None else like_stored(order, stored, asked)
    with _shown(f"Timing {asked.subjects[0].name}", asked.as_json) as show:
        found = measure(asked.subjects[0], order, show)
    board = read_board()
    unwritten = write_profile(found, out, board.device if board else None)
    comparison = compare_profiles(stored, found, asked.config) if stored is not None else None
    trend = add_to_trend(asked.trend, found, asked.config.tolerance) if asked.trend else None
    if asked.as_json:
        typer.echo(json.dumps(_told(found, comparison, trend)))
    else:
        _print_profile(found, unwritten, out, comparison, trend)
    if comparison is not None:
        comparison.check_regression()
    if trend is not None and asked.trend is not None:
        trend.check_trend(asked.trend)


def run_comparison(asked: ComparisonOrder, order: ProfileOrder) -> None:
    """Compares two subjects, in turns unless one is a stored profile.

    Raises:
        ConfigError: Not two subjects, or an option does not go with a comparison.
        GateError: B is slower, or the machine was in another state and `--strict` is set.
    """
    if len(asked.subjects) != 2:
        raise ConfigError(f"--compare takes two subjects, {len(asked.subjects)} given", "name A and then B")
    if asked.against or asked.trend:
        raise ConfigError("--against and --trend are of one subject", "leave them out, or leave --compare out")
    first, second = asked.subjects
    if is_stored(first) or is_stored(second):
        report = _with_stored(first, second, asked, order)
    else:
        report = _in_turns(first, second, asked, order)
    if asked.as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        _print_comparison(Console(), report)
    report.check_regression()


def is_stored(path: Path) -> bool:
    """Whether a path names a profile that was written, and nothing to be timed."""
    return path.suffix == ".json" or (path.is_dir() and not is_bundle(path) and (path / PROFILE_NAME).is_file())


def like_stored(order: ProfileOrder, stored: Profile, asked: ComparisonOrder) -> ProfileOrder:
    """The order with scenario and batch of a stored profile, where the user asks for none."""
    scenario = order.scenario if asked.is_scenario_given else stored.scenario
    return replace(order, scenario=scenario, batch=order.batch or stored.batch)


def _with_stored(first: Path, second: Path, asked: ComparisonOrder, order: ProfileOrder) -> ComparisonReport:
    known = {path: read_profile(path) for path in (first, second) if is_stored(path)}
    sides = []
    for path in (first, second):
        if path not in known:
            (stored,) = known.values()
            with _shown(f"Timing {path.name}", asked.as_json) as show:
                known = {**known, path: measure(path, like_stored(replace(order, layer_rounds=0), stored, asked), show)}
        sides.append(known[path])
    return compare_profiles(sides[0], sides[1], asked.config)


def _in_turns(first: Path, second: Path, asked: ComparisonOrder, order: ProfileOrder) -> ComparisonReport:
    if order.scenario != "single":
        raise ConfigError(
            f"two subjects are timed in turns one after the other, which is not {order.scenario}",
            "leave --scenario out, or profile each and compare both profile.json",
        )
    if order.rule.duration_s is not None or order.rule.percentile is not None:
        raise ConfigError("a comparison in turns is of rounds", "give --samples, not --duration or --percentile")
    whole_road = is_bundle(first) and is_bundle(second)
    a = open_for(first, order, whole_road=whole_road)
    try:
        b = open_for(second, order, whole_road=whole_road)
        try:
            with _shown("Timing both in turns", asked.as_json) as show:
                done = 0

                def count() -> None:
                    nonlocal done
                    done += 1
                    if done % 20 == 0:
                        show(done)

                return compare_in_turns(a, b, asked.config, on_round=count)
        finally:
            b.close()
    finally:
        a.close()


@contextmanager
def _shown(doing: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Shows how many samples there are."""
    with status_line(doing, quiet=quiet) as show:
        yield lambda count: show(f"{count:,}")


def _told(found: Profile, comparison: ComparisonReport | None, trend: TrendVerdict | None) -> dict[str, Any]:
    told = found.to_json() if comparison is None else comparison.to_json()
    return told if trend is None else {**told, "trend": trend.to_json()}


def _print_profile(
    found: Profile,
    unwritten: tuple[str, ...],
    out: Path,
    comparison: ComparisonReport | None,
    trend: TrendVerdict | None,
) -> None:
    from edge.profile.views.table import profile_table

    console = Console()
    console.print(profile_table(found))
    for note in unwritten:
        console.print(note, highlight=False)
    if comparison is not None:
        _print_comparison(console, comparison)
    if trend is not None:
        console.print(_trend_line(trend), highlight=False)
    page = out / PAGE_NAME if not unwritten else out / PROFILE_NAME
    console.print(f"Profile: {page}", highlight=False, markup=False, soft_wrap=True)


def _print_comparison(console: Console, report: ComparisonReport) -> None:
    low, high = report.interval
    console.print(
        f"{report.verdict.capitalize()}: {report.b} takes {report.ratio:.3f} times as long as {report.a} "
        f"(95 %: {low:.3f} to {high:.3f}; within {report.tolerance:.0%} counts as the same).",
        highlight=False,
        markup=False,
    )
    for line in report.differences:
        console.print(f"Differs: {line}", highlight=False, markup=False)
    for note in report.notes:
        console.print(note, highlight=False, markup=False)


def _trend_line(trend: TrendVerdict) -> str:
    if trend.verdict is None or trend.ratio is None:
        return f"Trend: no verdict yet, for there are {trend.before} runs before it."
    return f"Trend: {trend.verdict}, {trend.ratio:.3f} times the median of {trend.before} runs before it."
