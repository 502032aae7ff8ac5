"""Engines from torch programs by Torch-TensorRT, from 2.13 on: conversion, coverage, precision and artefacts."""
