"""`sigedge store`: look after the templates of enrolled users."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sigedge.cli.console import Output
from sigedge.cli.guard import REJECTED, guard
from sigedge.cli.inputs import require_store
from sigedge.cli.types import JsonOption, KeyOption, StoreOption

app = typer.Typer(no_args_is_help=True, help="Check, back up, encrypt and erase enrolled templates.")

AS_BEFORE = "The store is as it was before: it is changed as a whole or not at all."
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
NewKeyOption = Annotated[
    str,
    typer.Option(
        "--new-key",
        metavar="KEYSOURCE",
        help="Key to encrypt with, of `sigedge store new-key`: file:PATH, keyring:NAME or env:NAME.",
        show_default=False,
    ),
]


@app.command()
@guard()
def info(store: StoreOption, json: JsonOption = None) -> None:
    """Tell what can be told without a key: encryption, users, what made their templates."""
    from sigedge_runtime.store import store_facts

    require_store(store)
    facts = store_facts(store)
    output = Output(json)
    encryption = "encrypted" if facts.encrypted else "not encrypted"
    output.say(f"{store}: {_counted(facts.users, facts.templates)}, {facts.size:,} bytes, {encryption}")
    output.table("Made by", ("identity", "users"), facts.identities.items())
    if facts.erasure_pending:
        output.say("The log may still hold what was removed: run `sigedge store purge`.", "yellow")
    output.result({"store": str(store), **asdict(facts)})


@app.command()
@guard()
def check(store: StoreOption, key: KeyOption = None, json: JsonOption = None) -> None:
    """Look for damage in the file and in every template; exit code 1 when there is any."""
    from sigedge_runtime import TemplateStore

    require_store(store)
    with TemplateStore(store, key=key) as opened:
        found = opened.check()
    output = Output(json)
    for finding in found.findings:
        output.say(finding, "red")
    if not found.findings:
        output.say(f"{store} is sound: {_counted(found.users, found.templates)}.", "green")
    output.result({"store": str(store), "sound": not found.findings, **asdict(found)})
    if found.findings:
        raise typer.Exit(REJECTED)


@app.command()
@guard(kept="No backup was written.")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = None,
) -> None:
    """Copy the store to FILE while others use it; what is encrypted stays encrypted, by the same key."""
    from sigedge_runtime import TemplateStore

    require_store(store)
    with TemplateStore(store, key=key) as opened:
        opened.backup(target, overwrite=overwrite)
    output = Output(json)
    output.say(f"Backup: {target}. Whoever is removed from the store stays in it.", "green")
    output.result({"store": str(store), "backup": str(target)})


@app.command()
@guard(kept="No export was written.")
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = None,
) -> None:
    """Write all users and templates to FILE as JSON lines, not encrypted."""
    from sigedge_runtime import TemplateStore
    from sigedge_runtime.store import export_templates

    require_store(store)
    with TemplateStore(store, key=key) as opened:
        written = export_templates(opened, target, overwrite=overwrite)
    output = Output(json)
    output.say(f"Exported {_counted(written.users, written.templates)} to {target}; it is not encrypted.", "green")
    output.result({"store": str(store), "export": str(target), **asdict(written)})


@app.command("import")
@guard(kept=AS_BEFORE)
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Made by `sigedge store export`.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    existing: Annotated[
        str, typer.Option("--existing", help="Users who are enrolled: refuse the file, keep, replace or merge.")
    ] = "refuse",
    json: JsonOption = None,
) -> None:
    """Add the users of FILE to the store, all of them or none; made when it is not there."""
    from sigedge_runtime import StoreError, TemplateStore
    from sigedge_runtime.store import import_templates

    if not source.is_file():  # before an empty store is made for it
        raise StoreError(f"{source} does not exist; name a file of `sigedge store export`.")
    with TemplateStore(store, key=key) as opened:
        added = import_templates(opened, source, existing=existing)
    output = Output(json)
    output.say(f"Imported {_counted(added.users, added.templates)} into {store}.", "green")
    output.result({"store": str(store), "import": str(source), **asdict(added)})


@app.command()
@guard(kept=AS_BEFORE)
def remove(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name of the user.", show_default=False)],
    store: StoreOption,
    key: KeyOption = None,
    json: JsonOption = None,
) -> None:
    """Remove USER and overwrite the templates in the file and its log."""
    from sigedge_runtime import TemplateStore

    require_store(store)
    with TemplateStore(store, key=key) as opened:
        count = opened.remove(user)
    output = Output(json)
    output.say(f"Erased {user} from {store} ({count} templates). Backups and exports are yours to delete.", "green")
    output.result({"store": str(store), "user": user, "templates": count})


@app.command()
@guard(kept=AS_BEFORE)
def purge(store: StoreOption, key: KeyOption = None, json: JsonOption = None) -> None:
    """Write the file anew without free space, and empty its log."""
    from sigedge_runtime import TemplateStore

    require_store(store)
    before = store.stat().st_size
    with TemplateStore(store, key=key) as opened:
        opened.purge()
    after = store.stat().st_size
    output = Output(json)
    output.say(f"{store} has {after:,} bytes now, {before:,} before; its log is empty.", "green")
    output.result({"store": str(store), "bytes": after, "bytes_before": before})


@app.command("new-key")
@guard()
def new_key(
    source: Annotated[
        str, typer.Argument(metavar="KEYSOURCE", help="Where to: file:PATH or keyring:NAME.", show_default=False)
    ],
    json: JsonOption = None,
) -> None:
    """Draw a key and put it into a file that you alone can read, or into the system's keyring."""
    from sigedge_runtime.store import make_key

    make_key(source)
    output = Output(json)
    output.say(f"Key: {source}. Keep a copy in a safe place: without it an encrypted store is lost.", "green")
    output.result({"key": source})


@app.command()
@guard(kept=AS_BEFORE)
def encrypt(store: StoreOption, new_key: NewKeyOption, json: JsonOption = None) -> None:
    """Encrypt the names and templates of a store that is not encrypted."""
    from sigedge_runtime import StoreKeyError, TemplateStore
    from sigedge_runtime.store import store_facts

    require_store(store)
    if store_facts(store).encrypted:
        raise StoreKeyError(f"{store} is encrypted already; change its key with `sigedge store rekey`.")
    with TemplateStore(store, key="") as opened:
        opened.encrypt(new_key)
    _encrypted(Output(json), store, new_key)


@app.command()
@guard(kept=AS_BEFORE)
def rekey(store: StoreOption, new_key: NewKeyOption, key: KeyOption = None, json: JsonOption = None) -> None:
    """Change the key of an encrypted store; backups keep the old one."""
    from sigedge_runtime import StoreKeyError, TemplateStore
    from sigedge_runtime.store import store_facts

    require_store(store)
    if not store_facts(store).encrypted:
        raise StoreKeyError(f"{store} is not encrypted; encrypt it with `sigedge store encrypt`.")
    with TemplateStore(store, key=key) as opened:
        opened.encrypt(new_key)
    _encrypted(Output(json), store, new_key)


def _encrypted(output: Output, store: Path, source: str) -> None:
    output.say(f"{store} is encrypted with the key {source}. Keep a copy of the key in a safe place.", "green")
    output.result({"store": str(store), "key": source})


def _counted(users: int, templates: int) -> str:
    return f"{users} user{'s' * (users != 1)} with {templates} template{'s' * (templates != 1)}"
