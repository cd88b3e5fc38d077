"""What `check --online` finds: each broker, the topology on one of them, and whether it takes a publish."""

from collections.abc import AsyncIterator

from tms_bridge.broker import topology
from tms_bridge.broker.check import try_publishing
from tms_bridge.broker.session import Session, place_of
from tms_bridge.broker.supervisor import amqp_url
from tms_bridge.broker.topology import State
from tms_bridge.cli.broker import connect
from tms_bridge.cli.findings import FAIL, OK, WARN, Finding
from tms_bridge.errors import BrokerError
from tms_bridge.settings.model import Amqp


async def check_broker(amqp: Amqp) -> list[Finding]:
    """Try every broker, and the first that answers in depth."""
    findings: list[Finding] = []
    tried = False
    for url in map(amqp_url, amqp.urls):
        try:
            session = await connect(amqp, url)
        except BrokerError as failure:
            findings.append(Finding("broker", FAIL, str(failure)))
            continue
        findings.append(Finding("broker", OK, f"{place_of(url)} lets the bridge in"))
        try:
            if not tried:
                findings += [finding async for finding in _try(session, amqp)]
            tried = True
        finally:
            await session.close()
    return findings


async def _try(session: Session, amqp: Amqp) -> AsyncIterator[Finding]:
    try:
        found = await topology.show(session, topology.configured(amqp))
        for finding in found:
            if finding.part.kind != "binding":
                yield _judged(finding, declare=amqp.declare)
        if found[0].state is State.MISSING:
            yield Finding("publish", WARN, f"not tried: exchange {amqp.exchange} is not there")
            return
        problem = await try_publishing(session, amqp.exchange)
        yield Finding("publish", FAIL if problem else OK, problem or "a test message was confirmed")
    except BrokerError as failure:
        yield Finding("broker", FAIL, str(failure))


def _judged(finding: topology.Finding, *, declare: bool) -> Finding:
    if finding.state is State.MISSING and declare:
        return Finding("topology", WARN, f"{finding.part} is not there yet; `serve` creates it")
    if finding.wrong:
        return Finding("topology", FAIL, str(finding))
    return Finding("topology", OK, f"{finding.part}{finding.detail and ': '}{finding.detail or ' is there'}")
