"""Formats whose files are not looked into: there is their size, and what running them shows."""

from __future__ import annotations

from sigedge_export.audits.facts import Finding, Inspection
from sigedge_export.audits.weights import EXPECTED, facts_of
from sigedge_runtime.manifest import Artifact


def inspect_whole(artifact: Artifact, parameters: int) -> Inspection:
    """Hold the size of an artefact against the parameters of the network, which it must at least hold."""
    facts = facts_of(artifact, parameters)
    rate, least = facts.bytes_per_parameter, EXPECTED[artifact.precision].lowest
    sentence = (
        f"Artefact {artifact.name} takes {rate:.2f} bytes a parameter, less than {least:g} for {artifact.precision}; "
        "see whether weights are lost."
    )
    findings = (Finding(artifact.name, sentence, grave=False),) if rate < least else ()
    return Inspection(facts, findings, {}, {})
