"""An ONNX graph read: its file, layers, nodes, and which operators the parsers of TensorRT take."""
