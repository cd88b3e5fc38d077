"""The command `check`: what is wrong, or likely to be, before the bridge runs or while it does.

With `--online` it tries each broker, and on the first that answers, whether `serve` can work.
"""

import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import click
import msgspec

from tms_bridge.auth.allowlist import published
from tms_bridge.broker import topology
from tms_bridge.broker.check import missing_rights, try_publishing, unbound
from tms_bridge.broker.session import Session, place_of
from tms_bridge.broker.supervisor import amqp_url
from tms_bridge.broker.topology import Likeness
from tms_bridge.cli.bus.broker import connect
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import BrokerError, OutboxError, OutboxLocked
from tms_bridge.outbox.queries import waiting_in
from tms_bridge.settings.amqp import routing_keys, takes
from tms_bridge.settings.load import Loaded, read
from tms_bridge.settings.model import Amqp, Outbox, Settings
from tms_bridge.settings.traps import contradictions, warnings

Result = Literal["ok", "warn", "fail"]

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


class Checkup(msgspec.Struct, frozen=True):
    """One row of what `check` prints."""

    check: str
    result: Result
    text: str


READABLE_BY_OTHERS = 0o004


class _Checked(msgspec.Struct, frozen=True):
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
        out.document(_Checked(not failed, findings))
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
    yield _kept(path)
    yield _room(there, outbox)


def _kept(path: Path) -> Checkup:
    try:
        waiting = waiting_in(path)
    except OutboxLocked:
        state = "a running bridge has it open; `tms-bridge outbox status` says what waits"
    except OutboxError as error:
        return Checkup("outbox", WARN, f"{path}: outbox.db cannot be read: {error}")
    else:
        state = "created at the start" if waiting is None else f"events that wait for the broker: {waiting:,}"
    return Checkup("outbox", OK, f"{path}: {state}")


def _room(there: Path, outbox: Outbox) -> Checkup:
    free, needed = shutil.disk_usage(there).free, outbox.max_bytes + outbox.min_free_bytes
    if free < outbox.min_free_bytes:
        return Checkup("room", FAIL, f"{there} has {free:,} bytes free, less than outbox.min_free_bytes")
    if free < needed:
        text = f"{there} has {free:,} bytes free; max_bytes and min_free_bytes need {needed:,}"
        return Checkup("room", WARN, text)
    return Checkup("room", OK, f"{there} has {free:,} bytes free")


def _former_outbox(former: Path | None, outbox: Outbox) -> Iterator[Checkup]:
    waiting = None
    with contextlib.suppress(OutboxError):  # what a bridge has open, it delivers
        waiting = waiting_in(former) if former is not None else None
    if waiting is not None:
        yield Checkup(
            "outbox",
            WARN,
            f"another outbox is at {former}, where outbox.dir used to point from this directory; its events "
            f"({waiting:,}) are not delivered: move it to {outbox.dir}, or name its absolute path",
        )


STREAMS_SINCE: Final = (3, 9)


async def check_broker(settings: Settings) -> list[Checkup]:
    """Try every broker, and the first that answers in depth."""
    amqp = settings.amqp
    prefixes = sorted({source.routing_key_prefix for source in settings.sources.values()})
    findings: list[Checkup] = []
    tried = False
    for url in map(amqp_url, amqp.urls):
        try:
            session = await connect(amqp, url)
        except BrokerError as failure:
            findings.append(Checkup("broker", FAIL, str(failure)))
            continue
        findings.append(Checkup("broker", OK, f"{place_of(url)} lets the bridge in"))
        try:
            if not tried:
                findings += [finding async for finding in _try(session, amqp, prefixes)]
            tried = True
        finally:
            await session.close()
    return findings


async def _try(session: Session, amqp: Amqp, prefixes: list[str]) -> AsyncIterator[Checkup]:
    try:
        parts = topology.configured(amqp)
        found = await topology.show(session, parts)
        for finding in found:
            if finding.part.kind != "binding":
                yield _judged(finding, declare=amqp.declare)
        if amqp.archive is not None:
            yield archive_finding(session.broker_version)
        keys = [key for prefix in prefixes for key in routing_keys(prefix)]
        missing = await missing_rights(session, parts if amqp.declare else (), amqp.exchange, keys)
        for lacking in missing:
            yield Checkup("rights", FAIL, lacking)
        if not missing:
            yield Checkup("rights", OK, "the user may do everything that `serve` does")
        if found[0].state is Likeness.MISSING:
            yield Checkup("publish", WARN, f"not tried: exchange {amqp.exchange} is not there")
            return
        problem = await try_publishing(session, amqp.exchange)
        yield Checkup("publish", FAIL if problem else OK, problem or "a test message was confirmed")
        if not problem:
            async for warning in _bindings(session, amqp, prefixes):
                yield warning
    except BrokerError as failure:
        yield Checkup("broker", FAIL, str(failure))


async def _bindings(session: Session, amqp: Amqp, prefixes: list[str]) -> AsyncIterator[Checkup]:
    """Warn of each topic that nothing is bound to; the configured queues are bound by `serve`."""
    ours = [binding for queue in amqp.queues for binding in queue.bindings] if amqp.declare else []
    if amqp.archive is not None:
        every = [key for prefix in prefixes for key in routing_keys(prefix)]
        yield _archived_alone([key for key in every if not any(takes(binding, key) for binding in ours)])
        return
    for prefix in prefixes:
        keys = [key for key in routing_keys(prefix) if not any(takes(binding, key) for binding in ours)]
        for key in await unbound(session, amqp.exchange, prefix, keys):
            yield Checkup(
                "bindings", WARN, f"no queue is bound to {key}; its events will go to tms.unroutable"
            )


def _archived_alone(keys: Sequence[str]) -> Checkup:
    """Say which topics may reach nobody: the broker returns nothing that the archive takes."""
    configured = f"no queue of [[amqp.queues]] takes {', '.join(keys)}; " if keys else ""
    return Checkup(
        "bindings",
        OK,
        f"{configured}the archive takes every event, so none is unroutable; "
        "`bindings check QUEUE --since 1d` counts what a queue has missed",
    )


def archive_finding(version: str) -> Checkup:
    """Judge whether the broker has streams, which AMQP 0-9-1 reads without any plugin."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return Checkup("archive", WARN, "the broker does not give its version; streams need RabbitMQ 3.9")
    if tuple(map(int, numbers.groups())) < STREAMS_SINCE:
        return Checkup(
            "archive", FAIL, f"RabbitMQ {version} has no streams, which the archive needs from 3.9 on"
        )
    return Checkup("archive", OK, f"RabbitMQ {version} has streams; no plugin is needed to read them")


def _judged(finding: topology.Finding, *, declare: bool) -> Checkup:
    if finding.state is Likeness.MISSING and declare:
        return Checkup("topology", WARN, f"{finding.part} is not there yet; `serve` creates it")
    if finding.wrong:
        return Checkup("topology", FAIL, str(finding))
    return Checkup("topology", OK, f"{finding.part}{finding.detail and ': '}{finding.detail or ' is there'}")
