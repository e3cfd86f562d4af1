"""tflite-runtime, the predecessor of LiteRT, for devices that still carry it (Python 3.11 or older, numpy 1)."""

from __future__ import annotations

from sigedge_runtime.engines._tflite import TfliteEngine


class TfliteRuntimeEngine(TfliteEngine):
    """Runs ``.tflite`` files with tflite-runtime 2.14."""

    name = "tflite_runtime"
    module = "tflite_runtime.interpreter"
    distribution = "tflite-runtime"
