"""From samples to the model's tensors: image, lidar view, log-mel, motion compensation; the C++ core does the work."""
