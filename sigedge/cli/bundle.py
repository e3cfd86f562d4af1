"""`sigedge bundle`: who made a bundle, and is every file in it what it is said to be?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.types import BundleArgument, JsonOption

if TYPE_CHECKING:
    from sigedge_export.audit import Audit

app = typer.Typer(no_args_is_help=True, help="Sign, verify and audit bundles.")

NamedBundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle: a folder or a .zip.", show_default=False)]


@app.command()
@guard()
def keygen(
    out: Annotated[Path, typer.Option("--out", help="File of the private key; must not exist.", show_default=False)],
    json: JsonOption = None,
) -> None:
    """Make an Ed25519 key pair: the private key at --out, readable by you alone, the public one beside it as .pub."""
    from sigedge_runtime.signing import generate_key, public_file

    key_id = generate_key(out)
    output = Output(json)
    output.say(f"Key {key_id[:16]}: keep {out} secret, give {public_file(out)} to every device.", "green")
    output.result({"private_key": str(out), "public_key": str(public_file(out)), "key_id": key_id})


@app.command()
@guard(kept="The bundle is as it was.")
def sign(
    bundle: NamedBundle,
    key: Annotated[Path, typer.Option("--key", help="Private key, of `sigedge bundle keygen`.", show_default=False)],
    json: JsonOption = None,
) -> None:
    """Sign BUNDLE, in place of an earlier signature; a zip is written anew, all at once."""
    from sigedge_runtime.bundle import sign_bundle

    signature = sign_bundle(bundle, key)
    output = Output(json)
    output.say(f"Signed {bundle} with the key {signature.key_id[:16]}.", "green")
    output.result({"bundle": str(bundle), **signature.to_dict()})


@app.command()
@guard()
def verify(
    bundle: NamedBundle,
    public_key: Annotated[
        list[Path], typer.Option("--public-key", help="Trusted public key; may be repeated.", show_default=False)
    ],
    json: JsonOption = None,
) -> None:
    """Check that a trusted key signed BUNDLE and that no file of it was altered; exit code 1 when not."""
    from sigedge_runtime.bundle import Bundle
    from sigedge_runtime.errors import BundleIntegrityError

    output = Output(json)
    try:
        with Bundle.open(bundle, trusted_keys=public_key) as opened:
            files, signature = len(opened.manifest.files), opened.signature
    except BundleIntegrityError as error:
        output.say(f"REFUSED  {error}", "bold red")
        output.result({"bundle": str(bundle), "verified": False, "reason": str(error)})
        raise typer.Exit(REJECTED) from None
    key_id = "" if signature is None else signature.key_id
    output.say(f"VERIFIED  {bundle}: {files} files, signed by the key {key_id[:16]}", "bold green")
    output.result({"bundle": str(bundle), "verified": True, "files": files, "key_id": key_id})


@app.command()
@guard()
def audit(bundle: BundleArgument = None, json: JsonOption = None) -> None:
    """Look into every artefact of BUNDLE and run it on every engine found here; exit code 1 when one must not ship."""
    from sigedge_export.audit import examine, golden_canvases
    from sigedge_runtime.bundle import Bundle

    output = Output(json)
    with Bundle.open(bundle) as opened:
        found = examine(opened, golden_canvases(opened), progress=output.status)
    _show(output, found)
    output.result(_plain(found))
    if any(finding.grave for finding in found.findings):
        raise typer.Exit(REJECTED)


def _show(output: Output, found: Audit) -> None:
    rows = [
        (facts.artifact, facts.size, f"{facts.bytes_per_parameter:.2f}", ", ".join(facts.loads_on) or "-")
        for facts in found.files
    ]
    output.table("Files", ("artefact", "bytes", "bytes a parameter", "loads on"), rows)
    runs = [(run.artifact.name, f"{run.engine} {run.version}", run.placement or "not told") for run in found.runs]
    output.table("Runs", ("artefact", "engine", "computed by"), runs)
    for missed in found.unmeasured:
        output.say(f"not run: {missed.artifact} on {missed.engine}: {missed.reason}", "yellow")
    for finding in found.findings:
        output.say(str(finding), "red" if finding.grave else "yellow")
    if not found.findings:
        output.say("Every artefact is what it is said to be.", "green")


def _plain(found: Audit) -> dict[str, Any]:
    runs = [
        {
            "artifact": run.artifact.name,
            "engine": run.engine,
            "version": run.version,
            "placement": None if run.placement is None else asdict(run.placement),
        }
        for run in found.runs
    ]
    lists = {name: [asdict(entry) for entry in getattr(found, name)] for name in ("unmeasured", "files", "findings")}
    return {"runs": runs, **lists}
