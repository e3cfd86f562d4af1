"""LiteRT, the current TensorFlow Lite runtime (package ai-edge-litert)."""

from __future__ import annotations

from sigedge_runtime.engines._tflite import TfliteEngine


class LitertEngine(TfliteEngine):
    """Runs ``.tflite`` files with LiteRT and XNNPACK."""

    name = "litert"
    module = "ai_edge_litert.interpreter"
    distribution = "ai-edge-litert"
