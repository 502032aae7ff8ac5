"""Which ONNX operators the parsers of TensorRT take: a table by version, and the rules beyond a name."""
