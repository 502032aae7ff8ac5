"""Calibration sets for INT8: which samples the scales are collected on (sensor geometry is called a *rig*)."""
