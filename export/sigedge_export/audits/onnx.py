"""ONNX files: names, shapes, opset, domains, weights, and whether the file is complete without others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigedge_export.audits import weights as stored
from sigedge_export.audits.facts import REMEDY, Finding, Inspection, Placement, Weight
from sigedge_export.audits.process import ask
from sigedge_runtime.manifest import Artifact, Tensor

HIGHEST_OPSET = 18
"""What the chain writes, chosen because TensorRT 10 and onnx2tf read it."""


def inspect_onnx(artifact: Artifact, path: Path, parameters: int) -> Inspection:
    """Ask the file, and ONNX Runtime where it computes it.

    Args:
        artifact: what the manifest says of it.
        path: of the file.
        parameters: of the network.

    Raises:
        ExportError: ONNX or ONNX Runtime refuses the file.
    """
    told = ask("inspect_onnx", artifact.name, ["--onnx", path.resolve()])
    constants = [Weight(*entry) for entry in told["weights"]]
    facts = stored.facts_of(artifact, parameters, constants, operators=tuple(told["operators"]), opset=told["opset"])
    # With one provider every node is its; with several, the session does not tell which took what.
    providers = told["providers"]
    placed = {"onnxruntime": Placement(providers[0], told["nodes"], told["nodes"])} if len(providers) == 1 else {}
    findings = [*_check_interface(artifact, told), *stored.judge(artifact, constants, parameters)]
    return Inspection(facts, tuple(findings), placed, {})


def _check_interface(artifact: Artifact, told: Mapping[str, Any]) -> list[Finding]:
    name = artifact.name
    found = {role: told[role] for role in ("inputs", "outputs")}
    declared = {"inputs": [_plain(artifact.input)], "outputs": [_plain(artifact.output)]}
    findings = []
    if found != declared:
        sentence = f"Artefact {name} takes and gives {found}, not {declared}; {REMEDY}."
        findings.append(Finding(name, sentence, grave=True))
    if told["external"]:
        kept = ", ".join(told["external"][:3])
        sentence = f"Artefact {name} keeps weights in other files ({kept}); write them into the file itself."
        findings.append(Finding(name, sentence, grave=True))
    if told["domains"]:
        sentence = (
            f"Artefact {name} needs operators of {', '.join(told['domains'])}, which TensorRT and other engines lack; "
            "export it from standard operators."
        )
        findings.append(Finding(name, sentence, grave=False))
    if not 0 < told["opset"] <= HIGHEST_OPSET:
        sentence = (
            f"Artefact {name} is of opset {told['opset']}, above {HIGHEST_OPSET}, the highest that every engine of "
        )
        findings.append(Finding(name, f"{sentence}the chain reads; export it at that opset.", grave=False))
    return findings


def _plain(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
