"""Rehearses a cluster's rollouts: three bridges behind a real HAProxy, then a real nginx, under steady load.

    PYTHONPATH=deploy/local .venv/bin/python deploy/rehearsal.py --seed 1 --rate 100

Replicas are replaced one after another as a StatefulSet does it, scaled down and up, and one loses its
volume. Nothing may be given up, answered other than 2xx, or missing on the broker; exits 1 otherwise.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec

from bridge import Address, Bridge
from bus import Inbox, listening
from janitor import Janitor
from ports import free_port
from program import Program, ProgramFailedError
from rabbitmq import Node

_REPLICAS: Final = 3
_SHUTDOWN_DELAY_S: Final = 2.0
_QUIET_S: Final = 2.0
_ARRIVAL_S: Final = 60.0

# Both send all calls of one path to one replica, ask each whether it is ready, and try the next one only
# where no byte of a request was sent.
_HAPROXY: Final = """\
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 8s
  retries 3
  option redispatch 1
frontend tms
  bind 127.0.0.1:{port}
  default_backend bridges
backend bridges
  balance uri
  hash-type consistent
  option httpchk GET /readyz
  default-server check inter 200ms fall 1 rise 1 observe layer4
{servers}
"""
_NGINX: Final = """\
daemon off;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream bridges {{
    hash $request_uri consistent;
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://bridges;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 2s;
      proxy_read_timeout 8s;
    }}
  }}
}}
"""


class Proxy(Program):
    """HAProxy or nginx in front of the bridges."""

    title = "the proxy"

    def __init__(self, name: str, addresses: Sequence[Address]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-proxy-"))
        super().__init__(Janitor(self._directory))
        self.port = free_port()
        file = self._directory / f"{name}.conf"
        if name == "haproxy":
            servers = "\n".join(f"  server b{at} 127.0.0.1:{each.port}" for at, each in enumerate(addresses))
            file.write_text(_HAPROXY.format(port=self.port, servers=servers))
            self._command = ["haproxy", "-db", "-f", str(file)]
        else:
            servers = "\n".join(
                f"    server 127.0.0.1:{each.port} max_fails=1 fail_timeout=1s;" for each in addresses
            )
            file.write_text(_NGINX.format(port=self.port, servers=servers, directory=self._directory))
            self._command = ["nginx", "-e", "stderr", "-c", str(file)]

    @property
    def log(self) -> str:
        """What it has said."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        path = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        output = self._directory / "log"
        self._process = self._janitor.spawn(self._command, env=path, cwd=self._directory, output=output)
        self.wait_ready(timeout_s=10.0)

    def is_ready(self) -> bool:
        """Tell whether it listens."""
        table = Path("/proc/net/tcp").read_text()
        return f"0100007F:{self.port:04X} 00000000:0000 0A" in table


class Answer(msgspec.Struct):
    """What simulate records of each call."""

    trigger: str
    entity: int
    step: int
    http_status: int | None
    id: str | None = None


class Outcome(msgspec.Struct):
    """What came of one rehearsal: everything but `sent`, `late` and `copies` must be 0."""

    proxy: str
    seed: int
    sent: int
    given_up: int
    not_2xx: int
    missing: int
    late: int
    copies: int
    steps: list[tuple[float, str]]

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, and the sender saw nothing of it."""
        return self.sent > 0 and self.given_up == self.not_2xx == self.missing == 0


async def rehearse(name: str, seed: int, rate: float, node: Node) -> Outcome:
    """Run one rehearsal behind one proxy."""
    addresses = [Address(free_port(), free_port(), "rehearsal") for _ in range(_REPLICAS)]
    async with AsyncExitStack() as stack:
        inbox = await stack.enter_async_context(listening(node.url))
        bridges = [
            Bridge(node.url, shutdown_delay_s=_SHUTDOWN_DELAY_S, address=address) for address in addresses
        ]
        for bridge in bridges:
            stack.enter_context(bridge)
        proxy = stack.enter_context(Proxy(name, addresses))
        record = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "answers.jsonl"
        command = bridges[0].command(
            "simulate", "--json", "--url", f"http://127.0.0.1:{proxy.port}", "--source", "contoso"
        )
        options = ["--rate", str(rate), "--seed", str(seed), "--record", str(record), "--plain"]
        sender = await asyncio.create_subprocess_exec(
            *command, *options, "--duration", str(_duration_s()), stdout=asyncio.subprocess.PIPE
        )
        steps = await _replace(bridges)
        report, _ = await sender.communicate()
        answers = [msgspec.json.decode(line, type=Answer) for line in record.read_bytes().splitlines()]
        await _arrived(inbox, answers)
        return _outcome(name, seed, json.loads(report), answers, inbox, steps)


def _duration_s() -> float:
    """Return how long the steps of `_replace` take, with a little air."""
    return (2 * _REPLICAS + 3) * (_SHUTDOWN_DELAY_S + _QUIET_S)


async def _replace(bridges: Sequence[Bridge]) -> list[tuple[float, str]]:
    """Do what a cluster does to its replicas; return when what was done, in seconds from the start."""
    started, steps = time.monotonic(), []

    def note(what: str) -> None:
        steps.append((round(time.monotonic() - started, 1), what))

    for at in reversed(range(_REPLICAS)):  # as a StatefulSet rolls
        note(f"replica {at} is replaced")
        await asyncio.to_thread(bridges[at].stop)
        await asyncio.to_thread(bridges[at].start)
        await asyncio.sleep(_QUIET_S)
    note(f"replica {_REPLICAS - 1} is scaled down")
    await asyncio.to_thread(bridges[-1].stop)
    await asyncio.sleep(_QUIET_S)
    note(f"replica {_REPLICAS - 1} is back, without its volume")
    shutil.rmtree(bridges[-1].outbox)
    await asyncio.to_thread(bridges[-1].start)
    return steps


async def _arrived(inbox: Inbox, answers: Sequence[Answer]) -> None:
    wanted = {each.id for each in answers if each.id}
    try:
        await inbox.wait_for(wanted, timeout_s=_ARRIVAL_S)
    except TimeoutError:
        return  # what is missing is counted


def _outcome(  # noqa: PLR0913, PLR0917 - each is a part of what happened
    name: str,
    seed: int,
    report: dict[str, int],
    answers: Sequence[Answer],
    inbox: Inbox,
    steps: list[tuple[float, str]],
) -> Outcome:
    taken = {each.id: each for each in answers if each.id}
    came = [str(message.message_id) for _, message in inbox.messages]
    newest: dict[tuple[str, int], int] = {}
    late = 0
    for event in dict.fromkeys(came):
        if (answer := taken.get(event)) is not None:
            key = (answer.trigger, answer.entity)
            late += answer.step < newest.get(key, -1)
            newest[key] = max(answer.step, newest.get(key, -1))
    return Outcome(
        proxy=name,
        seed=seed,
        sent=report["sent"],
        given_up=report["given_up"],
        not_2xx=sum(each.http_status is None or each.http_status // 100 != 2 for each in answers),  # noqa: PLR2004 - 2xx
        missing=len(taken.keys() - set(came)),
        late=late,
        copies=len(came) - len(set(came)),
        steps=steps,
    )


def main(arguments: Sequence[str]) -> int:
    """Rehearse behind each proxy, print what came of it as JSON lines; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--rate", type=float, default=100.0, help="webhooks a second")
    parser.add_argument("--proxy", nargs="+", default=["haproxy", "nginx"])
    options = parser.parse_args(arguments)
    passed = True
    try:
        with Node() as node:
            for name in options.proxy:
                for seed in options.seed:
                    outcome = asyncio.run(rehearse(name, seed, options.rate, node))
                    print(msgspec.json.encode(outcome).decode(), flush=True)
                    passed &= outcome.passed
    except ProgramFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
