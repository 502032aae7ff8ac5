"""The tables of docs/profiling.md, as Markdown."""

from __future__ import annotations

from typing import Any

COVERAGE_HEADER = ("durations", "p50", "p90", "p99", "if they were independent", "ratio in turns")
SLOWDOWN_HEADER = ("B is", "ratios found", "verdicts")


def profiler_text(found: dict[str, Any]) -> str:
    """All of what the profiler's benchmark found."""
    parts = overhead_text(found["overhead"]), coverage_text(found["coverage"]), slowdown_text(found["slowdowns"])
    return "\n\n".join(parts)


def overhead_text(found: dict[str, Any]) -> str:
    """Ours and LoadGen's cost of a sample."""
    low, high = found["added_range_us"]
    ours = (
        f"**Overhead.** A sample of a null engine costs {found['added_us']:.2f} us more than the bare call "
        f"({low:.2f} to {high:.2f} over {found['rounds']} rounds; bound 1.5), and reads "
        f"{found['null_sample_us']:.2f} us."
    )
    if "loadgen_us" not in found:
        return f"{ours} MLPerf LoadGen was {found['loadgen']}."
    return (
        f"{ours} MLPerf LoadGen {found['loadgen_version']}, single stream with its answers given in Python, takes "
        f"{found['loadgen_us']:.2f} us a query and reads {found['loadgen_mean_latency_us']:.2f} us on average, "
        "in turns on the same machine."
    )


def coverage_text(found: dict[str, Any]) -> str:
    """In what share of runs intervals hold, by process."""
    rows = [COVERAGE_HEADER, ("---",) * len(COVERAGE_HEADER)]
    for name, process in found["processes"].items():
        ours = [f"{process['profile'][share]['coverage']:.1%}" for share in ("p50", "p90", "p99")]
        plain = [f"{entry['coverage']:.0%}" for entry in process["assuming independence"].values()]
        rows.append((name, *ours, " / ".join(plain), f"{process['ratio in turns']:.1%}"))
    told = (
        f"**Coverage** of 95 % intervals on a synthetic clock: {found['trials']:,} runs of {found['samples']:,} "
        f"samples, or {found['rounds']} rounds, of processes whose truth is known "
        "(`benchmarks/interval_coverage.py`; bound 95 +- 3)."
    )
    return f"{told}\n\n{_table(rows)}"


def slowdown_text(found: dict[str, Any]) -> str:
    """What comparisons in turns say of known differences."""
    rows = [SLOWDOWN_HEADER, ("---",) * len(SLOWDOWN_HEADER)]
    for name in ("A against A", "1 % slower", "10 % slower"):
        runs = found[name]
        ratios = sorted(run["ratio"] for run in runs)
        counts = {verdict: sum(run["verdict"] == verdict for run in runs) for verdict in ("faster", "same", "slower")}
        verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counts.items() if count)
        rows.append((name, f"{ratios[0]:.3f} to {ratios[-1]:.3f}", verdicts))
    told = (
        "**Differences found**, an ONNX Runtime call against itself with a busy wait behind it, "
        f"{found['rounds']} rounds, tolerance {found['tolerance']:g}, on a machine with other work:"
    )
    return f"{told}\n\n{_table(rows)}"


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
