"""TensorRT: build plans from the ONNX files of a bundle, keep them, and run them on an NVIDIA GPU."""

from __future__ import annotations

from sigedge_runtime.tensorrt.make import BuildOptions, Outcome, build_engine

__all__ = ["BuildOptions", "Outcome", "build_engine"]
