"""An ONNX graph read: its file, its nodes and tensors, its layers and what they compute."""
