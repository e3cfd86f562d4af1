"""Compare the runtime here with the runtime on emulated Arm cores.

    python -m sigedge.arm [--json FILE] [--bundle DIR ...] [--signers N] [--scans N] [--trials N] [--no-float]

0: what must be identical is, 1: it is not, 2: bad input, 3: nothing could be compared here (the sentence says why).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sigedge.arm.commands import Word, run_tool
from sigedge.arm.errors import ArmUnavailableError
from sigedge.arm.measure import ROOT, SEED, Extent, draw_job, measure
from sigedge.arm.system import prepare_arm
from sigedge_runtime.bundle import SHIPPED, Bundle
from sigedge_runtime.errors import DataError, ExportError, SigedgeError

IDENTICAL, DIFFERENT, BAD_INPUT, SKIPPED, STOPPED = 0, 1, 2, 3, 130
SHIPPED_NAMES = ("edgesig", "edgesig-clean")
_EXPORT_TOOLS = ("torch", "onnx", "onnx2tf", "tensorflow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        result = _result(options)
        if options.json:
            from sigedge.evaluation.results import write_result

            write_result(options.json, result)
    except ArmUnavailableError as error:
        print(f"Skipped: {error}", file=sys.stderr)
        return SKIPPED
    except SigedgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("Stopped: no result was written; what is set up is kept.", file=sys.stderr)
        return STOPPED
    _show(result)
    return DIFFERENT if result["failures"] else IDENTICAL


def _parser() -> argparse.ArgumentParser:
    extent = Extent()
    parser = argparse.ArgumentParser(prog="python -m sigedge.arm", description=__doc__)
    parser.add_argument("--json", type=Path, help="result file to write")
    parser.add_argument("--bundle", type=Path, action="append", help="folder of a bundle; default: those shipped")
    parser.add_argument("--signers", type=_count, default=extent.signers, help="synthetic signers, 8 signatures each")
    parser.add_argument("--scans", type=_count, default=extent.scans, help="real scans, where the research data is")
    parser.add_argument("--trials", type=_count, default=extent.trials, help="scores of each artefact")
    parser.add_argument("--no-float", action="store_true", help="leave out the float32 files, which are exported first")
    parser.add_argument("--cache", type=Path, default=Path(".cache") / "arm", help="folder of the Arm system")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt", help="pinned versions, for pip")
    return parser


def _count(text: str) -> int:
    """A number that the command line gives."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number of 0 or more")
    return int(text)


def _result(options: argparse.Namespace) -> dict[str, Any]:
    from sigedge.evaluation.results import provenance

    system = prepare_arm(options.cache, options.constraints)
    _say(f"Arm system: {system.root}")
    bundles = {path.name: path for path in options.bundle or [SHIPPED / name for name in SHIPPED_NAMES]}
    if not options.no_float and _can_export():
        bundles["edgesig as exported"] = _exported()
    with tempfile.TemporaryDirectory(prefix="sigedge-arm-") as scratch:
        extent = Extent(options.signers, options.scans, options.trials)
        job = draw_job(Path(scratch) / "pictures", bundles, extent, _index(options.scans))
        _say(f"{len(job.pictures)} pictures, {len(job.trials)} trials for each artefact")
        found = measure(system, job, Path(scratch), _say)
    return {**found, "meta": provenance(seed=SEED, emulator=system.emulator_version(), models=_models(bundles))}


def _models(bundles: dict[str, Path]) -> dict[str, Any]:
    """What each bundle was made from."""
    models = {}
    for name, path in bundles.items():
        with Bundle.open(path) as bundle:
            model = bundle.manifest.model
            models[name] = {"name": model.name, "checkpoint_sha256": model.checkpoint_sha256}
    return models


def _index(scans: int) -> Path | None:
    """Index of the research data; None where there is none or none is wanted."""
    from sigedge.cli.inputs import default_data

    try:
        return default_data() / "index.csv" if scans > 0 else None
    except DataError:
        _say("No research data here: synthetic pictures alone.")
        return None


def _can_export() -> bool:
    missing = [tool for tool in _EXPORT_TOOLS if find_spec(tool) is None]
    if missing:
        _say(f"float32 is left out: {', '.join(missing)} not installed (pip install sigedge[export]).")
    return not missing


def _exported() -> Path:
    """A bundle with float32 files of the shipped weights, made by the chain; unchanged hops come from its cache."""
    target = Path("out") / "arm-parity" / "edgesig"
    weights = ROOT / "models" / "weights" / "edgesig.safetensors"
    _say("exporting float32 files (about a minute, then from the cache)")
    command: list[Word] = [sys.executable, "-m", "sigedge", "export", weights, "--out", target]
    command += ["--formats", "tflite,onnx", "--precisions", "float32"]
    run_tool(command, "export the weights by hand to see why", None, ExportError)
    return target


def _show(result: dict[str, Any]) -> None:
    for name, figures in result["processors"].items():
        for source, counts in figures["pictures"].items():
            print(f"{name}: {counts['identical_canvases']} of {counts['pictures']} canvases identical ({source})")
        for row in figures["artifacts"]:
            print(f"{name}: {row['bundle']}, {row['artifact']}:")
            print(f"  {row['identical_outputs']} of {row['outputs']} outputs identical, {_by(row, 'output')}")
            print(f"  {row['identical_scores']} of {row['scores']} scores identical, {_by(row, 'score')}")
    for problem in result["failures"]:
        print(f"Different: {problem}", file=sys.stderr)


def _by(row: dict[str, Any], what: str) -> str:
    return f"the others by {row[f'max_{what}_difference']:.1e} at most"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
