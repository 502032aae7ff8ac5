"""embodied-sync's ApproximateTime bundler: run by the peers' venv, see worker.py."""

import time
from array import array
from importlib.metadata import version
from pathlib import Path

from embodied_sync.core.sample import Modality, Sample
from embodied_sync.session.approximate import ApproximateTimeBundler
from worker import serve

STREAMS = ("camera", "lidar", "audio")
samples = []


def load(path):
    """Reads stream, stamp and arrival of each message."""
    numbers = array("q", Path(path).read_bytes())
    rows = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    samples[:] = [
        Sample(STREAMS[stream], Modality.OTHER, position, stamp, arrival, "host", payload=0)
        for position, (stream, stamp, arrival) in enumerate(rows)
    ]
    return len(samples)


def play(repeat):
    """Seconds that all messages take, `repeat` times over, and how many sets came."""
    seconds, count = 0.0, 0
    for _ in range(int(repeat)):
        push = ApproximateTimeBundler(STREAMS).push
        start = time.perf_counter()
        for sample in samples:
            count += len(push(sample))
        seconds += time.perf_counter() - start
    return {"seconds": seconds, "sets": count}


def record(path):
    """Writes the position of the message at hand and of the members of each set."""
    rows, bundler = array("q"), ApproximateTimeBundler(STREAMS)
    for position, sample in enumerate(samples):
        for one in bundler.push(sample):
            rows.extend([position, *(one.samples[name].sequence_id for name in STREAMS)])
    Path(path).write_bytes(rows.tobytes())
    return len(rows) // (1 + len(STREAMS))


if __name__ == "__main__":
    serve(
        {"load": load, "play": play, "record": record, "versions": lambda: {"embodied-sync": version("embodied-sync")}}
    )
