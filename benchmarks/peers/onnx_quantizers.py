"""ModelOpt's and NNCF's post-training quantization of an ONNX file: run by the peers' venv, see worker.py.

Both get the same float graph and the same samples, and are called as their documentation shows it.
"""

import json
import time
from importlib.metadata import version

import numpy as np
import onnx
from worker import serve


def modelopt(asked):
    """INT8 Q/DQ for TensorRT, calibrated by ONNX Runtime on the CPU; what is left float stays FP32."""
    from modelopt.onnx.quantization import quantize

    with np.load(asked["samples"]) as samples:
        quantize(
            asked["fp32"],
            quantize_mode="int8",
            calibration_data=dict(samples),
            calibration_method=asked["method"],
            calibration_eps=["cpu"],
            high_precision_dtype="fp32",
            output_path=asked["target"],
        )
    return ("nvidia-modelopt", "onnxruntime", "onnx")


def nncf(asked):
    """`nncf.quantize` with its defaults, over all samples."""
    import nncf

    with np.load(asked["samples"]) as samples:
        arrays = dict(samples)
    count = len(next(iter(arrays.values())))
    rows = [{name: values[i : i + 1] for name, values in arrays.items()} for i in range(count)]
    kind = nncf.ModelType.TRANSFORMER if asked["transformer"] else None
    quantized = nncf.quantize(onnx.load(asked["fp32"]), nncf.Dataset(rows), subset_size=count, model_type=kind)
    onnx.save(quantized, asked["target"])
    return ("nncf", "onnxruntime", "onnx")


def answering(quantize):
    """A command that tells the processor time and the versions, or what went wrong."""

    def command(text):
        started = time.process_time()
        try:
            packages = quantize(json.loads(text))
        except Exception as error:  # told to the near side, which goes on with the next peer
            return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        seconds = time.process_time() - started
        return {"cpu_seconds": seconds, "versions": {name: version(name) for name in packages}}

    return command


if __name__ == "__main__":
    serve({"modelopt": answering(modelopt), "nncf": answering(nncf)})
