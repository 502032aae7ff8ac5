"""The sections of results.md, each from one part's result file."""

from __future__ import annotations

from typing import Any

from tables import absent, figure, table, times

Result = dict[str, Any]
INTERVALS = "Ratios: median of the rounds, its 95 % interval in brackets, then the smallest and largest round."
OPTIMAL = "edge, optimal"


def machine(environment: Result) -> list[str]:
    """What the figures were measured on."""
    facts = {
        "processor": f"{environment['cpu']}, {environment['usable_cores']} cores, {environment['memory_gib']} GiB",
        "vector extensions": ", ".join(environment["cpu_flags"]),
        "system": f"{environment['system']}, {environment['python']}",
        "packages": ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
    }
    return ["## Machine", "", *table(["", ""], [[name, value] for name, value in facts.items()])]


def synchronization(result: Result) -> list[str]:
    """Cost, nominal figures, and then what faults do."""
    return [
        "## Synchronization",
        "",
        "Camera, lidar and audio; `driver` streams run at 29.97, 10 and 50.05 Hz, `kitti` streams at 9.66, 9.66 and",
        f"50 Hz, {result['seconds']:.0f} s each. Peers: queue 10, tolerance 50 ms; *rate bounds*: with lower bounds on",
        "each stream's period set by hand. *edge, optimal* is ROS's algorithm in our core. embodied-sync: its",
        "ApproximateTime bundler. " + versions(result),
        "",
        *cost(result),
        *nominal(result),
        *faults(result),
        "The stamps of a real drive, KITTI's 0009, are measured too, but nothing made from recordings is committed:",
        "`python benchmarks/synchronize.py` prints those rows where `../shared/data/kitti_timestamps` is there.",
        "",
    ]


def cost(result: Result) -> list[str]:
    """Microseconds a message."""
    lines = ["### Cost of a message", ""]
    lines += [
        "The algorithm alone: no payload, no wake-up, messages made before. To reach: at most 0.5 us.",
        INTERVALS,
        "",
    ]
    for part in result["cost"]:
        rows = [[name, f"{figure(row['median'])} us", times(row)] for name, row in part["sides"].items()]
        lines += [f"{part['streams']}, {part['scenario']}:", ""]
        lines += table(["", "a message", "times ours"], rows + absent(result["missing"], 3))
    return lines


def nominal(result: Result) -> list[str]:
    """All figures where nothing goes wrong."""
    lines = [
        "### Nothing goes wrong",
        "",
        "*Wait* is what the algorithm adds after the last message of a set has arrived; *spread* lies between the",
        "oldest and the newest message of a set. To reach: a mean wait of 0.1 ms, 100 % complete.",
        "",
    ]
    header = [
        "",
        "sets/s",
        "complete",
        "wait, mean / p99 / max (ms)",
        "spread, mean / p99 (ms)",
        "silence (ms)",
    ]
    for streams in ("driver", "kitti"):
        rows = [
            [
                row["side"],
                f"{row['sets_per_s']:.2f}",
                f"{row['complete']:.1f} %",
                f"{row['wait_mean']:.2f} / {row['wait_p99']:.2f} / {row['wait_max']:.2f}",
                f"{row['spread_mean']:.2f} / {row['spread_p99']:.2f}",
                f"{row['silence']:.0f}",
            ]
            for row in of(result, streams)
            if row["scenario"] == "nominal"
        ]
        lines += [f"{streams}:", "", *table(header, rows + absent(result["missing"], len(header)))]
    return lines


def faults(result: Result) -> list[str]:
    """Figures by scenario and side."""
    lines = [
        "### Something goes wrong",
        "",
        "A sensor dies half way. A clock's step comes half way too, in five recordings of a fifth of the time, for",
        "what comes of it depends on when it comes: the longest silence and recovery of the five are here.",
        "",
    ]
    wait = "{wait_mean:.2f} / {wait_p99:.1f}"
    for title, cell in (
        (
            "Longest silence (ms). To reach: at most two anchor periods and 20 ms, and 200 ms at a step",
            "{silence:,.0f}",
        ),
        ("Complete sets a second", "{complete_per_s:.2f}"),
        ("Wait, mean / p99 (ms). To reach: never more than the budget of 60 ms", wait),
    ):
        for streams in ("driver", "kitti"):
            lines += [f"{title}; {streams}:", "", *by_side(of(result, streams), cell, result["missing"])]
    steps = [row for row in result["rows"] if "clock" in row["scenario"] and "ms" not in row["scenario"]]
    lines += ["From a clock's step until complete sets follow each other again (ms). To reach: 1,000:", ""]
    for row in steps:
        row["recovered"] = "never" if row["back"] is None else f"{row['back']:,.0f}"
    for streams in ("driver", "kitti"):
        chosen = [row for row in steps if row["streams"] == streams]
        lines += [f"{streams}:", "", *by_side(chosen, "{recovered}", result["missing"])]
    offset = [row for row in of(result, "driver") if row["scenario"] == "audio clock +120 ms"]
    found = ", ".join(f"{row['side']} {row['spread_mean']:.0f} ms" for row in offset)
    lines += ["With the audio clock 120 ms ahead every algorithm pairs sound with the wrong picture, true spread:"]
    return [*lines, f"{found}. What tells is a stream's health: messages arrive before they were measured.", ""]


def by_side(rows: list[Result], cell: str, missing: dict[str, str]) -> list[str]:
    """A row a scenario, a column a side but for the optimal policy, which gives what ROS gives until a clock steps."""
    sides = list(dict.fromkeys(row["side"] for row in rows if row["side"] != OPTIMAL))
    found = {(row["scenario"], row["side"]): cell.format(**row) for row in rows}
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    lines = table(["", *sides], [[name, *(found.get((name, side), "") for side in sides)] for name in scenarios])
    return lines + [f"{name}: {note}" for name, note in missing.items()] + ([""] if missing else [])


def of(result: Result, streams: str) -> list[Result]:
    """Rows of some streams."""
    return [row for row in result["rows"] if row["streams"] == streams]


def producers(result: Result) -> list[str]:
    """Blocking by a slow consumer."""
    rows = [
        [name, *(figure(row[key]) for key in ("p50", "p90", "p99", "max")), f"{row['n']:,}"]
        for name, row in result["push_us"].items()
    ]
    return [
        "## A producer before a slow consumer",
        "",
        "What a push takes, in us, while the consumer needs 50 ms a set; three producer threads, real time, each",
        "asleep between two pushes. ROS's messages are empty, ours are whole frames and sweeps, adopted and not",
        "copied. To reach: a p99 of 5,000 us.",
        "",
        *table(["", "p50", "p90", "p99", "max", "pushes"], rows + absent(result["missing"], 6)),
    ]


TITLES = {
    "lidar": "120,000 points into the camera's view of 640x192, nearest first (to reach: 15x NumPy)",
    "lidar, other ways": "the same in other ways",
    "image": "a frame of 1242x375 to 640x192, normalised, planar (to reach: 1.5x cv2 + NumPy)",
    "sound": "log-mel of 1 s at 16 kHz, 64 bands (to reach: 5x librosa, 3x kaldi-native-fbank)",
}


def preprocessing(result: Result) -> list[str]:
    """Times by part and allocator."""
    lines = ["## Preprocessing", "", INTERVALS + " A turn is five calls, of which the median counts.", ""]
    lines += ["NumPy's temporaries cost more or less with what the C library does with freed pages: as it comes it may"]
    lines += [
        "give them back to the kernel, and get new ones each call; told to keep them it does not. Both are here, each"
    ]
    lines += ["comparison in a process of its own; the first is what users get, and what the targets are for."]
    lines += [versions(result), ""]
    for part in result["parts"]:
        rows = [[name, f"{figure(row['median'])} ms", times(row)] for name, row in part["sides"].items()]
        missing = absent(result["missing"], 3) if part["part"] == "sound" else []
        lines += [f"### {TITLES[part['part']]}; the allocator {part['allocator']}", ""]
        lines += table(["", "a call", "times ours"], rows + missing)
    lines += ["lidar-bonnetal's range image is spherical, so other work on the same points; its steps are written out"]
    lines += ["in `lidar_sides.py`. cv2.projectPoints, pixels only: all points, five distortion coefficients.", ""]
    lines += ["How far the sides are apart from ours, checked before anything is timed:", ""]
    rows = [
        [what, name, f"{value:.2g}"] for what, sides in result["difference"].items() for name, value in sides.items()
    ]
    return lines + table(["", "", "found"], rows)


def int8(result: Result) -> list[str]:
    """Speed on ONNX Runtime."""
    rows = [
        [
            name,
            f"{row['parameters']:,}",
            *(spread(row["over_fp32"][key]) for key in ("s8", "u8", "ort")),
            spread(row["u8_over_ort"]),
            f"{row['bytes']['fp32'] / row['bytes']['s8']:.2f}x",
        ]
        for name, row in result.items()
    ]
    header = ["graph", "parameters", "s8 over FP32", "u8 over FP32", "ORT over FP32", "u8 over ORT", "file smaller"]
    return [
        "## INT8 on ONNX Runtime",
        "",
        "Ours (s8 is what boards run, u8 what x86 does) and ONNX Runtime's own static U8S8, one thread, in turns; the",
        "median round, and the smallest and largest.",
        "",
        *table(header, rows),
    ]


def spread(row: Result) -> str:
    """Median and range."""
    return f"{row['median']:.2f}x, {row['min']:.2f} to {row['max']:.2f}"


def bundle(result: Result) -> list[str]:
    """The demo's bundle against ONNX Runtime's quantization of the same graph."""
    rows = [
        ["u8, times as fast as ONNX Runtime's U8S8", times(result["speed_over_onnxruntime"])],
        ["u8, times as fast as FP32", times(result["speed_over_fp32"])],
        *([f"bytes, {name}", f"{size:,}"] for name, size in result["bytes"].items()),
        *([f"score, everything present, {name}", f"{score:.2f}"] for name, score in result["score_all"].items()),
    ]
    return ["## The demo's bundle against ONNX Runtime's own quantization", "", *table(["", ""], rows)]


def simulator(result: Result) -> list[str]:
    """Milliseconds of one core."""
    columns = ("p10", "median", "p90", "budget")
    rows = [[name, *(figure(row[key]) for key in columns)] for name, row in result["ms"].items()]
    return ["## The street simulator, ms of one core", "", *table(["", *columns], rows)]


def versions(result: Result) -> str:
    """Of the peers that were there."""
    found = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"Versions: {found}." if found else ""
