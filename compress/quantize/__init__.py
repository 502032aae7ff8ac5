"""INT8 by post-training quantization: where Q/DQ pairs stand, their scales, and the dialects written."""
