"""MLPerf LoadGen's single-stream scenario against a null system: run by the peers' venv, see worker.py."""

import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import mlperf_loadgen
from worker import serve


def answer(samples):
    """The null engine: every query is done as soon as it is seen."""
    mlperf_loadgen.QuerySamplesComplete([mlperf_loadgen.QuerySampleResponse(s.id, 0, 0) for s in samples])


def settings_of(queries):
    """So many queries, one after the other, as its performance mode issues them."""
    settings = mlperf_loadgen.TestSettings()
    settings.scenario = mlperf_loadgen.TestScenario.SingleStream
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_query_count = settings.max_query_count = queries
    settings.min_duration_ms = settings.max_duration_ms = 0
    settings.single_stream_expected_latency_ns = 1000
    return settings


def turn(queries):
    """What a query took as LoadGen tells it, in nanoseconds, and all of them by the wall, logs left out and in."""
    queries = int(queries)
    with tempfile.TemporaryDirectory() as folder:
        logs = mlperf_loadgen.LogSettings()
        output = mlperf_loadgen.LogOutputSettings()
        output.outdir, output.copy_summary_to_stdout = folder, False
        logs.log_output, logs.enable_trace = output, False
        system = mlperf_loadgen.ConstructSUT(answer, lambda: None)
        library = mlperf_loadgen.ConstructQSL(1024, 1024, lambda samples: None, lambda samples: None)
        start = time.perf_counter_ns()
        mlperf_loadgen.StartTestWithLogSettings(system, library, settings_of(queries), logs)
        wall = time.perf_counter_ns() - start
        mlperf_loadgen.DestroyQSL(library)
        mlperf_loadgen.DestroySUT(system)
        return {"wall_ns": wall, **told(Path(folder) / "mlperf_log_summary.txt")}


def told(summary):
    """Mean and median latency, and queries a second, of the summary that LoadGen writes."""
    wanted = {"Mean latency (ns)": "mean_ns", "50.00 percentile latency (ns)": "p50_ns"}
    wanted |= {"QPS w/ loadgen overhead": "rate_hz", "QPS w/o loadgen overhead": "rate_without_hz"}
    found = {}
    for line in summary.read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in wanted:
            found[wanted[name.strip()]] = float(value)
    return found


serve({"version": lambda: version("mlcommons_loadgen"), "turn": turn})
