"""The ONNX files of one quantized model: which kernels each is written for, and what is cleaned up on the way."""
