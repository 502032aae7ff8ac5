"""kiss-icp's motion compensation: run by the peers' venv, see worker.py."""

import time
from importlib.metadata import version

import numpy as np
from kiss_icp.config import KISSConfig
from kiss_icp.preprocess import get_preprocessor
from kiss_icp.pybind import kiss_icp_pybind
from worker import serve

given = {}


def load(points, times, motion):
    """Points `[N, 3]`, times 0..1 and the 4x4 motion of the sensor during the sweep; nothing is filtered by range."""
    given["points"], given["times"] = np.fromfile(points).reshape(-1, 3), np.fromfile(times)
    given["motion"] = np.fromfile(motion).reshape(4, 4)
    given["vector"] = kiss_icp_pybind._Vector3dVector(given["points"])
    given["list"] = given["times"].tolist()
    config = KISSConfig()
    config.data.max_range, config.data.min_range, config.data.deskew = 1e9, 0.0, True
    config.registration.max_num_threads = 1
    given["preprocessor"] = get_preprocessor(config)
    return len(given["points"])


def as_users_call():
    """Arrays in, an array out."""
    return given["preprocessor"].preprocess(given["points"], given["times"], given["motion"])


def ready():
    """Its own vectors in and out; the times are a list, which its binding takes fastest."""
    return given["preprocessor"]._preprocessor._preprocess(given["vector"], given["list"], given["motion"])


SIDES = {"kiss-icp, arrays in and out": as_users_call, "kiss-icp, its own vectors": ready}


def timed(name, calls):
    """Median seconds of a call."""
    function, spent = SIDES[name], []
    for _ in range(int(calls)):
        start = time.perf_counter_ns()
        function()
        spent.append(time.perf_counter_ns() - start)
    return float(np.median(spent)) / 1e9


def write(name, path):
    """The points, as float64."""
    moved = np.asarray(SIDES[name]())
    moved.tofile(path)
    return list(moved.shape)


if __name__ == "__main__":
    serve({"load": load, "time": timed, "write": write, "versions": lambda: {"kiss-icp": version("kiss-icp")}})
