"""Rehearses what a cluster does: three bridges behind a real HAProxy, then a real nginx, under steady load.

    PYTHONPATH=deploy/local .venv/bin/python deploy/rehearsal.py --seed 1 2 3 --report docs/rehearsal

Replicas and broker nodes are replaced one after another, the whole broker goes, a replica is scaled down with
a backlog and another loses its volume. Nothing else may be given up, answered other than 2xx, missing or
late; exits 1 otherwise.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import takewhile
from pathlib import Path
from typing import Final

import msgspec

from bridge import Address, Bridge
from bus import following
from cluster import Cluster
from ports import free_port
from program import ProgramFailedError
from replicas.cast import Cast
from replicas.outcome import Course, Outcome, judge, write
from replicas.proxy import Kind, Proxy, Spread
from tms_bridge.cli.simulate import Attempt, Event, Plan, lives, run

_REPLICAS: Final = 3
_ENTITIES: Final = 100
_SHUTDOWN_DELAY_S: Final = 2.0
_DRAIN_TIMEOUT_S: Final = 5.0
_QUIET_S: Final = 3.0
_PATIENCE_S: Final = 60.0

Steps = Callable[[Cast], Awaitable[None]]


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """One run: behind which proxy, with which bodies, and what happens."""

    proxy: Kind
    spread: Spread = "uri"
    seed: int = 1
    per_s: float = 100.0
    steps: Steps
    volume_lost: bool = True


async def everything(cast: Cast) -> None:
    """Replace all that can be replaced, then let the broker go, twice."""
    await cast.replace_replicas(_REPLICAS)
    await cast.replace_broker()
    await cast.lose_broker()
    await cast.scale_down_and_lose_a_volume()


async def in_short(cast: Cast) -> None:
    """Replace one replica, and lose another with what it held."""
    await cast.replace_replicas(1)
    await cast.scale_down_and_lose_a_volume()


async def rehearse(plan: Rehearsal, cluster: Cluster) -> tuple[Outcome, Course]:
    """Run one rehearsal; return what came of it, and when."""
    urls = [node.url for node in cluster.nodes]
    addresses = [Address(free_port(), free_port(), "rehearsal") for _ in range(_REPLICAS)]
    async with AsyncExitStack() as stack:
        inbox = await stack.enter_async_context(following(urls, f"rehearsal-{secrets.token_hex(4)}"))
        bridges = [
            stack.enter_context(_bridge(urls[at:] + urls[:at], address))
            for at, address in enumerate(addresses)
        ]
        proxy = stack.enter_context(Proxy(plan.proxy, plan.spread, addresses))
        cast = Cast(bridges, cluster)
        attempts = await _perform(plan, cast, f"http://127.0.0.1:{proxy.port}", bridges[0].authorization)
        wanted = {each.id for each in attempts if each.id} - cast.lost
        await inbox.wait_while_coming(wanted, patience_s=_PATIENCE_S)  # what is missing is counted
        came = [str(message.message_id) for _, message in inbox.messages]
        identity = (plan.proxy, plan.spread, plan.seed)
        outcome = judge(identity, attempts, came, cast, volume_lost=plan.volume_lost)
        if not outcome.passed:
            print(f"{proxy.title} said:\n{proxy.tail()}", file=sys.stderr)
        accepted = [each.answered_at - cast.began_unix for each in attempts if each.result == "accepted"]
        arrived = [at - cast.began for at, _ in inbox.messages]
        return outcome, Course(accepted, cast.waiting, arrived, cast.bands)


def _bridge(urls: Sequence[str], address: Address) -> Bridge:
    return Bridge(
        urls[0],
        others=urls[1:],
        shutdown_delay_s=_SHUTDOWN_DELAY_S,
        drain_timeout_s=_DRAIN_TIMEOUT_S,
        address=address,
    )


async def _perform(plan: Rehearsal, cast: Cast, url: str, authorization: str) -> list[Attempt]:
    """Send while the steps go on, and a little before and after; each entity ends what it has begun."""
    attempts: list[Attempt] = []
    over = asyncio.Event()

    def until_over(events: Iterator[Event]) -> Iterator[Event]:
        return takewhile(lambda _: not over.is_set(), events)

    places = [until_over(lives(plan.seed, place, _ENTITIES)) for place in range(_ENTITIES)]
    calls = Plan(url=url, source="contoso", headers={"Authorization": authorization}, rate=plan.per_s)
    watching = asyncio.create_task(cast.watch())
    async with asyncio.TaskGroup() as group:
        group.create_task(run(calls, on_attempt=attempts.append, places=places))
        try:
            await asyncio.sleep(_QUIET_S)
            await plan.steps(cast)
            await asyncio.sleep(_QUIET_S)
        finally:
            over.set()
    watching.cancel()
    return attempts


def _plans(options: argparse.Namespace) -> Iterator[Rehearsal]:
    per_s = options.rate
    if options.short:
        yield Rehearsal(proxy=options.proxy[0], per_s=per_s, steps=in_short)
        return
    for proxy in options.proxy:
        for seed in options.seed:
            yield Rehearsal(proxy=proxy, seed=seed, per_s=per_s, steps=everything)
        yield Rehearsal(
            proxy=proxy, spread="roundrobin", per_s=per_s, steps=Cast.lose_broker, volume_lost=False
        )


def main(arguments: Sequence[str]) -> int:
    """Rehearse behind each proxy, print what came of it as JSON lines; return the exit code."""
    options = _parser().parse_args(arguments)
    passed = True
    try:
        with Cluster(1 if options.short else 3) as cluster:
            for plan in _plans(options):
                outcome, course = asyncio.run(rehearse(plan, cluster))
                print(msgspec.json.encode(outcome).decode(), flush=True)
                if options.report:
                    write(options.report, outcome, course, plan.per_s)
                passed &= outcome.passed
    except ProgramFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--rate", type=float, default=100.0, help="webhooks a second")
    parser.add_argument("--proxy", nargs="+", choices=["haproxy", "nginx"], default=["haproxy", "nginx"])
    parser.add_argument("--short", action="store_true", help="behind the first proxy, and the worst alone")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write figures and pictures there")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
