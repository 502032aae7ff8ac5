"""What a profile times: bundles, ONNX files, exported programs and TensorRT engines, each behind the same few calls."""
