"""What a live view costs, for docs/live_view.md, as Markdown."""

from __future__ import annotations

from typing import Any

WHAT = {"stages_ms": "time of a result's stages", "age_ms": "age of its oldest sample"}
VERDICTS = {
    "within": "within the bound of 5 % at p99",
    "beyond": "beyond the bound of 5 % at p99",
    "undecided": "undecided: the interval of the p99 holds the bound of 5 %",
}


def cost_text(found: dict[str, Any]) -> str:
    """A row for each percentile, then what was handed over and how busy the machine was."""
    rows = [("", "percentile", "with a view over without", "without over without"), ("---", "---", "---:", "---:")]
    for what, words in WHAT.items():
        for name, sides in found[what]["over without"].items():
            rows.append((words, name, *(_interval(sides[side]) for side in ("with", "again"))))
    handed, load = found["view"]["handed_over_us"], found["load before and after"]
    dropped = sum(found["view"]["counts"].values())
    verdicts = "; ".join(f"{words}: {VERDICTS[found[what]['verdict']]}" for what, words in WHAT.items())
    cores = found["environment"]["usable_cores"]
    told = (
        f"Handing a moment over takes {handed['p50']:.2g} us (p99 {_told(handed['p99'])}); {dropped} of "
        f"{handed['n']:,} moments were dropped from the view. Mean load of the machine's {cores} cores: {load[0]:.1f} "
        f"before, {load[1]:.1f} after. {verdicts[:1].upper()}{verdicts[1:]}."
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{told}"


def _interval(ratio: dict[str, Any]) -> str:
    low, high = ratio["interval"]
    return f"{ratio['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _told(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2g} us"
