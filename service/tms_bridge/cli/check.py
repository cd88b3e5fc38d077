"""The command `check`: what is wrong, or likely to be, before the bridge runs or while it does."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tms_bridge.auth.allowlist import published
from tms_bridge.cli.check_online import check_broker
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.findings import FAIL, OK, WARN, Checkup
from tms_bridge.cli.output import Output, common_options
from tms_bridge.cli.program import DONE, NO
from tms_bridge.outbox.queries import waiting_in
from tms_bridge.settings.load import Loaded, read
from tms_bridge.settings.model import Outbox
from tms_bridge.settings.traps import contradictions, warnings

READABLE_BY_OTHERS = 0o004


class Checked(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    ok: bool
    checks: list[Checkup]


@click.command()
@common_options
@click.option(
    "--online", is_flag=True, help="Also try the broker: connection, exchange, permissions, a test publish."
)
def check(*, config: Path, out: Output, online: bool) -> int:
    """Check the configuration, and with --online the broker.

    Reads the file, its secrets and the files that it names, and looks for traps. Exits 1 if a check fails,
    2 if the file cannot be used; a warning alone is exit 0.

    \b
    Examples:
      tms-bridge check
      tms-bridge check --online --config /etc/tms-bridge/tms-bridge.toml
    """  # noqa: D301 - \b is how click is told to keep line breaks
    loaded = read(config, os.environ)
    findings = list(check_offline(loaded))
    if online:
        findings += run_async(check_broker(loaded.settings))
    failed = any(finding.result == FAIL for finding in findings)
    if out.as_json:
        out.document(Checked(not failed, findings))
    else:
        rows = [(finding.check, finding.result, finding.text) for finding in findings]
        out.table(("check", "result", ""), rows, prose=True)
    return NO if failed else DONE


def check_offline(loaded: Loaded) -> Iterator[Checkup]:
    """Yield what can be told from the file and this machine."""
    settings = loaded.settings
    sources = ", ".join(settings.sources)
    yield Checkup("configuration", OK, f"{loaded.files[0]} can be used; sources: {sources}")
    for file in loaded.files:
        yield _file(file, secret=file != loaded.files[0] or bool(loaded.literal_secrets))
    if settings.outbox is not None:
        yield from _outbox(settings.outbox)
        yield from _former_outbox(loaded.former_outbox, settings.outbox)
    yield Checkup("allowlist", OK, f"skillable-tms means the addresses published on {published().updated}")
    for problem in contradictions(settings):
        yield Checkup("trap", FAIL, str(problem))
    for problem in warnings(settings, loaded.literal_secrets):
        yield Checkup("trap", WARN, str(problem))


def _file(file: Path, *, secret: bool) -> Checkup:
    if secret and file.stat().st_mode & READABLE_BY_OTHERS:
        return Checkup("file", WARN, f"{file} holds a secret and others may read it; chmod 600 {file}")
    return Checkup("file", OK, f"{file} is there")


def _outbox(outbox: Outbox) -> Iterator[Checkup]:
    path = Path(outbox.dir)
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Checkup("outbox", FAIL, f"{there} is no directory that this user may write to (outbox.dir)")
        return
    waiting = waiting_in(path)
    state = "created at the start" if waiting is None else f"events that wait for the broker: {waiting:,}"
    yield Checkup("outbox", OK, f"{path}: {state}")
    yield _room(there, outbox)


def _room(there: Path, outbox: Outbox) -> Checkup:
    free, needed = shutil.disk_usage(there).free, outbox.max_bytes + outbox.min_free_bytes
    if free < outbox.min_free_bytes:
        return Checkup("room", FAIL, f"{there} has {free:,} bytes free, less than outbox.min_free_bytes")
    if free < needed:
        text = f"{there} has {free:,} bytes free; max_bytes and min_free_bytes need {needed:,}"
        return Checkup("room", WARN, text)
    return Checkup("room", OK, f"{there} has {free:,} bytes free")


def _former_outbox(former: Path | None, outbox: Outbox) -> Iterator[Checkup]:
    if former is not None and (waiting := waiting_in(former)) is not None:
        yield Checkup(
            "outbox",
            WARN,
            f"another outbox is at {former}, where outbox.dir used to point from this directory; its events "
            f"({waiting:,}) are not delivered: move it to {outbox.dir}, or name its absolute path",
        )
