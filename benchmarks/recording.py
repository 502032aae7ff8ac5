"""Recording and replaying MCAP beside the plain `mcap` package with the same messages.

    python benchmarks/recording.py [--seconds 2] [--json]

Both sides read and write the same bytes in one process, in turn. `ratio` is our time over the package's: what
decoding to NumPy, checksums and bounds cost on top of the bare container. MB are of uncompressed messages.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.mcap_recorder import CHUNK_BYTES, McapRecorder
from edge.runtime.sources.mcap_source import McapSource
from edge.runtime.statistics import compare
from edge.runtime.statistics.timing import WarmUp

HEIGHT, WIDTH, POINTS = 375, 1242, 120_000
WARM = WarmUp(window=1, max_seconds=2.0)
CODECS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}


def make_samples(seconds: float) -> list[Sample]:
    """Camera at 10 Hz, lidar at 10 Hz and sound at 50 Hz, with about the entropy of real ones."""
    random = np.random.default_rng(3)
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] // (6, 7, 8)
    due: list[tuple[int, str, Payload]] = []
    for k in range(int(seconds * 10)):
        noise = random.integers(0, 4, (HEIGHT, WIDTH, 3), np.uint8)
        due.append((k * 100_000_000, "camera", Image((smooth + k + noise).astype(np.uint8), "bgr8")))
        points = random.normal(0, 20, (POINTS, 4)).round(3).astype(np.float32)
        due.append((k * 100_000_000 + 7, "lidar", PointCloud(points, np.linspace(0, 0.1, POINTS, dtype=np.float32))))
    for k in range(int(seconds * 50)):
        sound = random.normal(0, 0.1, (1, 320)).astype(np.float32)
        due.append((k * 20_000_000 + 3, "audio", AudioChunk(sound, 16_000)))
    ordered = sorted(due, key=lambda item: item[0])
    return [Sample(stream, at, at + 5_000_000, n, payload) for n, (at, stream, payload) in enumerate(ordered)]


def record(path: Path, samples: list[Sample], codec: Any) -> None:
    """Our side of writing."""
    path.unlink(missing_ok=True)
    recorder = McapRecorder(path, street_rig(), compression=codec)
    for sample in samples:
        recorder.add_sample(sample)
    recorder.close(complete=True)


def copy(messages: list[tuple[Any, Any, Any]], path: Path, codec: str) -> None:
    """The package's side of writing: the same messages, already serialized."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=CHUNK_BYTES, compression=CODECS[codec])
        writer.start()
        channels: dict[int, int] = {}
        for schema, channel, message in messages:
            if channel.id not in channels:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
            writer.add_message(
                channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence
            )
        writer.finish()


def plain_read(path: Path, validate: bool) -> int:
    """The package's side of reading: bytes of all messages, undecoded."""
    with path.open("rb") as file:
        return sum(len(m.data) for _, _, m in make_reader(file, validate_crcs=validate).iter_messages())


def replay(path: Path) -> int:
    """Our side of reading: samples as NumPy arrays."""
    return sum(1 for _ in McapSource(path).samples())


def measure(codec: str, samples: list[Sample], folder: Path, rounds: int) -> dict[str, Any]:
    """All figures of one compression."""
    ours, theirs = folder / f"{codec}.mcap", folder / f"{codec}_plain.mcap"
    record(ours, samples, codec)
    with ours.open("rb") as file:
        messages = list(make_reader(file).iter_messages())
    megabytes = sum(len(m.data) for _, _, m in messages) / 1e6
    sides = (lambda: copy(messages, theirs, codec), lambda: record(ours, samples, codec))
    writing = compare(*sides, rounds=rounds, warm_up=WARM)
    reading = compare(lambda: plain_read(ours, True), lambda: replay(ours), rounds=rounds, warm_up=WARM)
    found: dict[str, Any] = {"codec": codec, "megabytes": megabytes, "file_megabytes": ours.stat().st_size / 1e6}
    for name, result in (("write", writing), ("read", reading)):
        found[name] = {
            "plain_mb_s": megabytes / (result.a.distribution_ms.p50 / 1e3),
            "ours_mb_s": megabytes / (result.b.distribution_ms.p50 / 1e3),
            "ratio": result.ratio,
            "interval": result.interval,
        }
    return found


def main() -> None:
    """Prints one line a compression."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples = make_samples(options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(codec, samples, Path(folder), options.rounds) for codec in CODECS]
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for r in results:
        print(f"{r['codec']:5s} {r['megabytes']:.0f} MB of messages, {r['file_megabytes']:.0f} MB on disk")
        for name in ("write", "read"):
            side = r[name]
            low, high = side["interval"]
            print(
                f"  {name:5s} plain {side['plain_mb_s']:6.0f} MB/s  ours {side['ours_mb_s']:6.0f} MB/s  "
                f"ratio {side['ratio']:.2f} ({low:.2f} to {high:.2f})"
            )
    print(f"largest resident set: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
