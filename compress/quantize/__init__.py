"""INT8 by post-training quantization: where Q/DQ pairs stand, which scales they carry, and the dialects written."""
