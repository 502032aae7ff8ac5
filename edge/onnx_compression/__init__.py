"""`edge compress MODEL.onnx`: from an ONNX file and samples to INT8 graphs, and what that cost and brought."""
