"""From exceptions to exit codes: one sentence on stderr, never a traceback for something the user can mend.

0    done; for verify and identify: accepted
1    rejected; or a parity gate or self-test failed
2    bad usage or bad input
70   a defect of sigedge itself, with a traceback
130  stopped with Ctrl-C
141  the reader of a pipe went away
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

from sigedge.cli.console import complain

Parameters = ParamSpec("Parameters")

OK = 0
REJECTED = 1
BAD_INPUT = 2
DEFECT = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

# The extra that brings an optional package; the first part of the module's name decides.
EXTRA_OF = {
    "torch": "train",
    "lightning": "train",
    "pytorch_metric_learning": "train",
    "pydantic": "train",
    "yaml": "train",
    "matplotlib": "export",
    "sklearn": "train",
    "scipy": "train",
    "safetensors": "export",
    "onnx": "export",
    "onnxscript": "export",
    "onnx2tf": "export",
    "tensorflow": "export",
    "jinja2": "export",
    "onnxruntime": "onnx",
    "ai_edge_litert": "litert",
    "fastapi": "kiosk",
    "starlette": "kiosk",
    "uvicorn": "kiosk",
}


def guard(kept: str = "") -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
    """Decorate a command so that it ends with the exit codes above.

    Args:
        kept: a sentence shown after Ctrl-C: what stays of the work and how to go on.
    """

    def decorate(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
        @functools.wraps(command)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            import typer  # a command that runs without it must not wait for it

            try:
                command(*args, **kwargs)
            except typer.Exit:
                raise
            except (Exception, KeyboardInterrupt) as error:
                code = ended_by(error, kept)
                raise typer.Exit(code) from None

        return guarded

    return decorate


def run_guarded(command: Callable[[], int]) -> int:
    """Run a command that is not a typer one; its exit code, or that of the error that ended it."""
    try:
        return command()
    except (Exception, KeyboardInterrupt) as error:
        try:
            return ended_by(error)
        except Exception:
            return confess()


def ended_by(error: BaseException, kept: str = "") -> int:
    """Say what ended a command; the exit code.

    Raises:
        BaseException: `error` itself when it is a defect of sigedge and not the user's to mend.
    """
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return BROKEN_PIPE
    if isinstance(error, Exception):
        sentence, code = explain(error)
    else:
        sentence, code = f"Stopped. {kept}".strip(), INTERRUPTED
    complain(sentence)
    return code


def confess() -> int:
    """Print the traceback of the defect that is being handled, and ask for a report; the exit code."""
    import traceback

    traceback.print_exc()
    complain("This is a defect of sigedge, not of your input; please report it with the lines above.")
    return DEFECT


def explain(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code for `error`.

    Raises:
        Exception: `error` itself when it is a defect of sigedge and not the user's to mend.
    """
    # Imported late: the package behind these names loads numpy and OpenCV; `sigedge --help` does without.
    from sigedge_runtime.errors import ParityError, SelftestError, SigedgeError

    if isinstance(error, (ParityError, SelftestError)):
        return str(error), REJECTED
    if isinstance(error, SigedgeError):
        return str(error), BAD_INPUT
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRA_OF.get((error.name or "").partition(".")[0])):
        return f"This command needs {error.name}; install it with: pip install 'sigedge[{extra}]'", BAD_INPUT
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename}: {error.strerror}; check the path, its permissions and the free space.",
            BAD_INPUT,
        )
    raise error


def _silence_stdout() -> None:
    """Point stdout at the null device, so that the interpreter's last flush does not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
