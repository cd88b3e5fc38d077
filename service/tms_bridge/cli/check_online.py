"""What `check --online` finds: each broker, and on the first that answers, whether `serve` can work."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from tms_bridge.broker import topology
from tms_bridge.broker.check import missing_rights, try_publishing, unbound
from tms_bridge.broker.session import Session, place_of
from tms_bridge.broker.supervisor import amqp_url
from tms_bridge.broker.topology import Likeness
from tms_bridge.cli.broker import connect
from tms_bridge.cli.findings import FAIL, OK, WARN, Checkup
from tms_bridge.errors import BrokerError
from tms_bridge.settings.amqp import routing_keys, takes
from tms_bridge.settings.model import Amqp, Settings

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
