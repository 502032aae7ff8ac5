"""Engines from ONNX graphs by TensorRT's own parser: TensorRT on a board, TensorRT-RTX anywhere."""
