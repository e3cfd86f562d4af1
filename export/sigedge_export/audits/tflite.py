"""TFLite files: signature, input quantization, operator versions, weights, delegates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sigedge_export.audits import weights as stored
from sigedge_export.audits.facts import REMEDY, Finding, Inspection, Placement, Weight
from sigedge_export.audits.operators import EngineOperators, Operator, known_engines, refusal
from sigedge_export.audits.process import ask
from sigedge_runtime.manifest import Artifact


def inspect_tflite(artifact: Artifact, path: Path, parameters: int, engines: Mapping[str, str]) -> Inspection:
    """Ask the file and every engine that is installed.

    Args:
        artifact: what the manifest says of it.
        path: of the file.
        parameters: of the network.
        engines: version by name of the installed TFLite engines, at least one.

    Raises:
        ExportError: no engine loads the file, or it takes the engine's process down.
    """
    options = [part for name in engines for part in ("--engine", name)]
    told = ask("inspect_tflite", artifact.name, ["--tflite", path.resolve(), *options])
    operators = [Operator(*entry) for entry in told["operators"]]
    constants = [Weight(*entry) for entry in told["weights"]]
    answers: dict[str, dict[str, Any]] = told["engines"]
    findings, refusals = _explain_refusals(artifact, operators, answers, engines)
    for name, answer in answers.items():
        if "refusal" not in answer:
            findings += _check_interface(artifact, name, answer)
    loads_on, refused_by = _releases(operators, answers, engines)
    facts = stored.facts_of(
        artifact,
        parameters,
        constants,
        operators=tuple(map(str, operators)),
        loads_on=loads_on,
        refused_by=refused_by,
    )
    placements = {
        name: Placement(answer["delegate"], answer["delegated"], answer["nodes"])
        for name, answer in answers.items()
        if "refusal" not in answer
    }
    return Inspection(facts, (*findings, *stored.judge(artifact, constants, parameters)), placements, refusals)


def _explain_refusals(
    artifact: Artifact, operators: Sequence[Operator], answers: Mapping[str, Any], engines: Mapping[str, str]
) -> tuple[list[Finding], dict[str, str]]:
    """A refusal is explained by an operator that the engine does not know; any other is grave."""
    findings, refusals = [], {}
    for name, answer in answers.items():
        if "refusal" not in answer:
            continue
        release = _release(name)
        unknown = () if release is None else release.unknown(operators)
        if release is not None and unknown:
            refusals[name] = refusal(release, unknown)
            continue
        refusals[name] = answer["refusal"]
        sentence = f"Artefact {artifact.name} does not load on {name} {engines[name]}: {answer['refusal']}; {REMEDY}."
        findings.append(Finding(artifact.name, sentence, grave=True))
    return findings, refusals


def _check_interface(artifact: Artifact, engine: str, answer: Mapping[str, Any]) -> list[Finding]:
    """Signature and input quantization, which the engines leave to the bundle's maker."""
    found = {"inputs": answer["inputs"], "outputs": answer["outputs"]}
    declared = {"inputs": [artifact.input.name], "outputs": [artifact.output.name]}
    findings = []
    if found != declared:
        sentence = f"Artefact {artifact.name} has the signature {found} on {engine}, not {declared}; {REMEDY}."
        findings.append(Finding(artifact.name, sentence, grave=True))
    quantization, scale = artifact.input.quantization, (answer["scale"], answer["zero_point"])
    if quantization is not None and scale != (quantization.scale, quantization.zero_point):
        sentence = (
            f"Artefact {artifact.name} reads its input with scale and zero point {scale} instead of "
            f"{(quantization.scale, quantization.zero_point)}; give calibration canvases that reach both 0 and 255."
        )
        findings.append(Finding(artifact.name, sentence, grave=True))
    return findings


def _releases(
    operators: Sequence[Operator], answers: Mapping[str, Any], engines: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which releases load the file and which do not: by trial where the release is installed, else by the table."""
    loads_on, refused_by = [], []
    for release in known_engines():
        unknown = release.unknown(operators)
        tried = answers.get(release.engine) if engines.get(release.engine) == release.version else None
        if ("refusal" not in tried) if tried is not None else not unknown:
            loads_on.append(str(release))
        else:
            refused_by.append(
                refusal(release, unknown) if unknown or tried is None else f"{release}: {tried['refusal']}"
            )
    return tuple(loads_on), tuple(refused_by)


def _release(engine: str) -> EngineOperators | None:
    return next((release for release in known_engines() if release.engine == engine), None)
