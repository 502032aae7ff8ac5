"""Latencies that others measured on boards and published, and what they say of how they did."""

from __future__ import annotations

from dataclasses import dataclass

SUPER, NX, AGX, THOR = "orin-nano-8gb", "orin-nx-16gb", "agx-orin-64gb", "agx-thor-t5000"
# Before JetPack 6.2's Super modes: https://developer.nvidia.com/blog/nvidia-jetpack-6-2-brings-super-mode-to-nvidia-
# jetson-orin-nano-and-jetson-orin-nx-modules/
NANO_BEFORE = (625.0, 68.3)
NX_BEFORE = (918.0, 102.4)


@dataclass(frozen=True)
class Publisher:
    """Where figures come from.

    Attributes:
        title: Who, and what was measured with what.
        url: The page.
        clocks: Power mode as stated, and what the estimate assumes where nothing is.
        software: JetPack and TensorRT as stated.
    """

    title: str
    url: str
    clocks: str
    software: str


@dataclass(frozen=True)
class Figure:
    """One published latency at batch 1, or of the batch that its graph holds.

    Attributes:
        publisher: Key of `PUBLISHERS`.
        graph: Name in `published_graphs`.
        device: Name of the profile.
        precision: What the engine was built for.
        ms: Milliseconds.
        clock: GPU clock in MHz and bandwidth in GB/s where they are not the profile's.
        fitted: Whether the constants were fitted to it.
    """

    publisher: str
    graph: str
    device: str
    precision: str
    ms: float
    clock: tuple[float, float] | None = None
    fitted: bool = False


_JETSON_PAGE = "https://docs.ultralytics.com/guides/nvidia-jetson/"
_STATED_NOWHERE = "not stated; the page advises the highest mode and jetson_clocks"
_MLPERF = (
    "https://github.com/mlcommons/inference_results_v3.1/tree/eaf622a25c00f2b4b1d2c4f5b4f430570429d24a"
    "/closed/NVIDIA/results"
)
PUBLISHERS = {
    "ultralytics-super": Publisher("Ultralytics, inference without pre- and post-processing", _JETSON_PAGE,
                                   f"{_STATED_NOWHERE}; taken as MAXN_SUPER", "JetPack 6.1"),
    "ultralytics-nx": Publisher("Ultralytics, as above", _JETSON_PAGE,
                                f"{_STATED_NOWHERE}; taken as 918 MHz, that JetPack's highest", "JetPack 6.0"),
    "ultralytics-agx": Publisher("Ultralytics, as above", _JETSON_PAGE, f"{_STATED_NOWHERE}; taken as MAXN",
                                 "JetPack 6.2"),
    "ultralytics-thor": Publisher("Ultralytics, as above", _JETSON_PAGE, f"{_STATED_NOWHERE}; taken as MAXN",
                                  "JetPack 7.0"),
    "choi": Publisher("H. Choi, trtexec, mean GPU compute time", "https://hokwangchoi.com/blog/vision-benchmarks/",
                      "MAXN_SUPER, jetson_clocks", "JetPack 6.2, TensorRT 10.3"),
    "the0807": Publisher("the0807, Ultralytics' validation on COCO, mean",
                         "https://github.com/the0807/YOLOv8-ONNX-TensorRT",
                         "nvpmodel -m 0, jetson_clocks; taken as 625 MHz and 68 GB/s, that JetPack's highest",
                         "JetPack 5.1.2, TensorRT 8.5.2"),
    "idein": Publisher("Idein, trtexec, latency (FP16: mean GPU compute time)",
                       "https://github.com/Idein/aicast_jetson_benchmark",
                       "not stated; taken as 625 MHz and 68 GB/s, that JetPack's highest",
                       "JetPack 5.1.2, TensorRT 8.5.2"),
    "mlperf": Publisher("NVIDIA, MLPerf Inference 3.1, Edge, SingleStream and MultiStream, median", _MLPERF,
                        "not stated; taken as MAXN (NX: 918 MHz)", "JetPack 5.1.1, TensorRT 8.5.2"),
    "bevfusion": Publisher("a user of CUDA-BEVFusion, engine camera.backbone; 12.7 and 14.4 ms once settled",
                           "https://github.com/NVIDIA-AI-IOT/Lidar_AI_Solution/issues/175",
                           "not stated; taken as MAXN", "TensorRT 8.5 or later; INT8 and FP16"),
    "nanosam": Publisher("NVIDIA, NanoSAM's image encoder", "https://github.com/NVIDIA-AI-IOT/nanosam",
                         "not stated; taken as MAXN", "not stated"),
}  # fmt: skip

_YOLO11 = {
    "ultralytics-super": (SUPER, None, {
        "n": (7.44, 4.53, 3.70), "s": (13.02, 6.93, 5.08), "m": (27.86, 13.50, 9.12), "l": (35.59, 17.48, 11.87),
        "x": (66.93, 32.58, 19.90)}),
    "ultralytics-nx": (NX, NX_BEFORE, {
        "n": (7.94, 4.73, 3.90), "s": (13.77, 7.31, 5.33), "m": (30.38, 14.48, 9.74), "l": (38.89, 18.59, 12.60),
        "x": (75.92, 35.78, 21.60)}),
    "ultralytics-agx": (AGX, None, {
        "n": (3.93, 2.55, 2.18), "s": (6.52, 3.65, 2.81), "m": (12.53, 6.25, 4.69), "l": (16.11, 8.08, 6.12),
        "x": (28.50, 13.55, 9.40)}),
    "ultralytics-thor": (THOR, None, {
        "n": (1.70, 1.20, 1.29), "s": (2.57, 1.55, 1.50), "m": (5.29, 2.42, 2.20), "l": (6.71, 3.26, 3.21),
        "x": (11.70, 5.10, 4.53)}),
}  # fmt: skip
_YOLO8 = {"n": (7.3, 5.8), "s": (11.4, 8.2), "m": (23.6, 17.1), "l": (35.5, 22.4), "x": (56.6, 33.9)}

FIGURES = (
    *(
        Figure(publisher, f"yolo11{scale}", device, precision, ms, clock, fitted=publisher == "ultralytics-super")
        for publisher, (device, clock, scales) in _YOLO11.items()
        for scale, figures in scales.items()
        for precision, ms in zip(("fp32", "fp16", "int8"), figures, strict=True)
    ),
    *(
        Figure("choi", "yolov8n", SUPER, precision, ms)
        for precision, ms in (("fp32", 8.36), ("fp16", 4.43), ("int8", 3.49))
    ),
    *(
        Figure("the0807", f"yolov8{scale}", SUPER, precision, ms, NANO_BEFORE)
        for scale, figures in _YOLO8.items()
        for precision, ms in zip(("fp16", "int8"), figures, strict=True)
    ),
    *(
        Figure("idein", "yolox-s-leaky", SUPER, precision, ms, NANO_BEFORE)
        for precision, ms in (("fp32", 20.9), ("fp16", 10.18), ("int8", 8.6))
    ),
    Figure("mlperf", "resnet50", AGX, "int8", 0.636),
    Figure("mlperf", "resnet50-batch8", AGX, "int8", 2.163),
    Figure("mlperf", "resnet50", NX, "int8", 1.078, NX_BEFORE),
    Figure("bevfusion", "bevfusion-camera", AGX, "int8", 13.5),
    Figure("nanosam", "nanosam-encoder", AGX, "fp16", 4.2),
)
