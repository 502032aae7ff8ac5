"""ROS's message_filters in Python, without a ROS master: run by the system's Python, see worker.py."""

import threading
import time
from array import array
from pathlib import Path

import rospy
from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from worker import serve


class Message:
    """As much of a ROS message as the filters look at."""

    __slots__ = ("arrival_ns", "header", "position", "stamp", "stream")

    def __init__(self, position, stream, stamp_ns, arrival_ns):
        self.header, self.position, self.stream, self.arrival_ns = self, position, stream, arrival_ns
        self.stamp = rospy.Time(stamp_ns // 1_000_000_000, stamp_ns % 1_000_000_000)


STREAMS = 3
messages = []


def load(path):
    """Reads stream, stamp and arrival of each message."""
    numbers = array("q", Path(path).read_bytes())
    rows = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    messages[:] = [Message(position, *row) for position, row in enumerate(rows)]
    return len(messages)


def make(queue, slop_ns, callback):
    """Filters that feed a synchronizer."""
    filters = [SimpleFilter() for _ in range(STREAMS)]
    sync = ApproximateTimeSynchronizer(filters, int(queue), int(slop_ns) / 1e9)
    sync.registerCallback(callback)
    return filters


def play(queue, slop_ns, repeat):
    """Seconds that all messages take, `repeat` times over, and how many sets came."""
    seconds, count = 0.0, [0]

    def on_set(*_):
        count[0] += 1

    for _ in range(int(repeat)):
        signals = [one.signalMessage for one in make(queue, slop_ns, on_set)]
        start = time.perf_counter()
        for message in messages:
            signals[message.stream](message)
        seconds += time.perf_counter() - start
    return {"seconds": seconds, "sets": count[0]}


def record(queue, slop_ns, path):
    """Writes the position of the message at hand and of the members of each set."""
    rows, now = array("q"), [0]
    filters = make(queue, slop_ns, lambda *members: rows.extend([now[0], *(m.position for m in members)]))
    for message in messages:
        now[0] = message.position
        filters[message.stream].signalMessage(message)
    Path(path).write_bytes(rows.tobytes())
    return len(rows) // (1 + STREAMS)


def blocked(queue, slop_ns, pause_ms, seconds, *rates_hz):
    """Microseconds that each push took while the callback sleeps; one producer thread a stream, in real time."""
    filters = make(queue, slop_ns, lambda *_: time.sleep(int(pause_ms) / 1e3))
    taken = [[] for _ in range(STREAMS)]
    begin = time.monotonic() + 0.1

    def produce(stream, hz):
        for k in range(int(float(seconds) * hz)):
            time.sleep(max(0.0, begin + k / hz - time.monotonic()))
            message = Message(k, stream, 100_000_000_000 + int(k / hz * 1e9), 0)
            start = time.perf_counter()
            filters[stream].signalMessage(message)
            taken[stream].append((time.perf_counter() - start) * 1e6)

    threads = [threading.Thread(target=produce, args=(i, float(hz))) for i, hz in enumerate(rates_hz)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def versions():
    """As ROS's own package file states it."""
    text = Path("/usr/share/message_filters/package.xml").read_text(encoding="utf-8")
    return {"message_filters (Python)": text.split("<version>")[1].split("</version>")[0]}


if __name__ == "__main__":
    rospy.rostime.set_rostime_initialized(True)
    serve({"load": load, "play": play, "record": record, "blocked": blocked, "versions": versions})
