"""INT8 for an ONNX file, whoever exported it: the same placement and dialects as for a torch module, without torch."""
