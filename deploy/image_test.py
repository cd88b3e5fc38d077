"""Builds the image and runs it as a cluster would; a line for each check, exits 1 if one fails.

    PYTHONPATH=deploy/local .venv/bin/python deploy/image_test.py

It needs root, for mounts and namespaces, and Debian's buildah and debootstrap, which it installs.
"""

import asyncio
import base64
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from bus import Inbox, listening
from checks.verdict import Verdict
from image.build import Builder, BuildFailed, Image, install_tools
from image.container import Container, Sandbox
from janitor import Janitor
from ports import free_port
from program import ProgramFailedError
from rabbitmq import Node

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_DIRECTORY: Final = _CHECKOUT / "build" / "image"
_NAME: Final = "localhost/tms-bridge:test"
_PASSWORD: Final = "image-test"  # noqa: S105 - of a bridge that lives as long as this test
_EVENTS: Final = 40
_SHUTDOWN_DELAY_S: Final = 1.0
_MAX_MIB: Final = 120
_MAX_START_S: Final = 10.0
_OPENSHIFT: Final = "1000650000:0"

_CONFIGURATION: Final = """\
[http]
listen = ":{port}"
shutdown_delay_s = {shutdown_delay_s}
[admin]
listen = "127.0.0.1:{admin_port}"
[amqp]
urls = ["{amqp_url}"]
[outbox]
dir = "/var/lib/tms-bridge/outbox"
[sources.contoso]
allow_from = ["127.0.0.1", "::1"]
[[sources.contoso.credentials]]
name = "first"
basic = {{ username = "tms", password = "{password}" }}
"""


class Place(msgspec.Struct, frozen=True):
    """The files of one run: the volume, with the configuration in it, and where it listens."""

    state: Path
    port: int
    admin_port: int

    @classmethod
    def make(cls, name: str, amqp_url: str, *, owner: int) -> "Place":
        """Lay out a volume as a cluster would hand it over: writable for the group 0."""
        state = _DIRECTORY / name
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        place = cls(state, free_port(), free_port())
        text = _CONFIGURATION.format(
            port=place.port,
            admin_port=place.admin_port,
            amqp_url=amqp_url,
            password=_PASSWORD,
            shutdown_delay_s=_SHUTDOWN_DELAY_S,
        )
        (state / "tms-bridge.toml").write_text(text)
        shutil.chown(state, owner, 0)
        state.chmod(0o770)
        return place

    @property
    def webhook(self) -> str:
        """Where TMS would call."""
        return f"http://127.0.0.1:{self.port}/webhooks/contoso/class-changed"


def judge_image(image: Image, again: Image, version: str) -> Iterator[Verdict]:
    """Check what the image says about itself, and that a second build is the same."""
    labels = {name.rpartition(".")[2]: value for name, value in image.config.labels.items()}
    wanted = {"version": version, "revision": "0123abc", "source": "https://example.com/image-test"}
    wrong = tuple(
        f"{name} is {labels.get(name)}" for name, text in wanted.items() if labels.get(name) != text
    )
    yield Verdict("its labels say version, revision and source", wrong)
    differ = [one for one, other in zip(image.layers, again.layers, strict=True) if one != other]
    yield Verdict("a second build has the same layers", tuple(f"{one} differs" for one in differ))


def judge_rights(sandbox: Sandbox, container: Container) -> Iterator[Verdict]:
    """Check who the process is and what it may do, as the kernel sees it."""
    status = container.status()
    uid = sandbox.user.partition(":")[0]
    wanted = {"Uid": "\t".join([uid] * 4), "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
    wrong = tuple(f"{key} is {status[key]}" for key, value in wanted.items() if status[key] != value)
    yield Verdict(f"it runs as {sandbox.user}, without capabilities", wrong)
    written = sandbox.run(["touch", "/opt/tms-bridge/written"])
    yield Verdict("its root file system cannot be written", () if written.returncode else ("it was written",))


async def judge_service(place: Place, container: Container, inbox: Inbox) -> Iterator[Verdict]:
    """Check probes, webhooks to a real broker, and that SIGTERM delivers what was answered."""
    verdicts = []
    authorization = "Basic " + base64.b64encode(f"tms:{_PASSWORD}".encode()).decode()
    async with aiohttp.ClientSession(headers={"Authorization": authorization}) as session:
        probes = ("/startupz", "/readyz", "/livez")
        wrong = [path for path in probes if await _get(session, place, path) != HTTPStatus.OK]
        verdicts.append(Verdict("startup, readiness and liveness answer 200", tuple(wrong)))
        taken = [await _post(session, place, number) for number in range(_EVENTS)]
        container.terminate()
        verdicts.append(await _leaving(session, place))
        code = await asyncio.to_thread(container.wait)
        verdicts.append(Verdict("SIGTERM ends it with exit code 0", () if code == 0 else (f"it was {code}",)))
        await inbox.wait_for(set(taken), timeout_s=30.0)
        verdicts.append(Verdict(f"each of {len(taken)} webhooks arrived on the broker", ()))
    return iter(verdicts)


async def _leaving(session: aiohttp.ClientSession, place: Place) -> Verdict:
    """Check that it says not ready and still serves, as proxies need it."""
    complaints = []
    async with asyncio.timeout(_SHUTDOWN_DELAY_S):
        while await _get(session, place, "/readyz") == HTTPStatus.OK:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    try:
        await _post(session, place, _EVENTS)
    except aiohttp.ClientError as error:
        complaints.append(f"a webhook got {error!r}")
    return Verdict("after SIGTERM it is not ready and takes webhooks all the same", tuple(complaints))


async def _get(session: aiohttp.ClientSession, place: Place, path: str) -> int:
    async with session.get(f"http://127.0.0.1:{place.admin_port}{path}") as answer:
        return answer.status


async def _post(session: aiohttp.ClientSession, place: Place, number: int) -> str:
    body = {"Id": number, "Status": "Scheduled"}
    async with session.post(place.webhook, json=body, raise_for_status=True) as answer:
        return str((await answer.json())["id"])


@contextmanager
def running(sandbox: Sandbox, name: str) -> Iterator[tuple[Container, float]]:
    """Run the image, and tell how long it took until it was ready, in seconds."""
    log = _DIRECTORY / f"{name}.log"
    log.unlink(missing_ok=True)
    container = Container(sandbox, log, Janitor(_DIRECTORY / f"{name}.gone"))
    started = time.monotonic()
    with container:
        yield container, time.monotonic() - started


async def judge_run(root: Path, image: Image, node: Node) -> list[Verdict]:
    """Check a run with the image's own user."""
    place = Place.make("run", node.url, owner=int(image.config.user.partition(":")[0]))
    sandbox = Sandbox(root, image.config, place.state)
    found: list[Verdict] = []
    async with listening(node.url) as inbox:
        with running(sandbox, "run") as (container, start_s):
            found += judge_rights(sandbox, container)
            memory_mib = int(container.status()["VmRSS"].split()[0]) / 1024
            sentence = f"it is ready in {start_s:.1f} s, and takes {memory_mib:.0f} MiB of memory then"
            found.append(Verdict(sentence, () if start_s < _MAX_START_S else ("that is too slow",)))
            well = sandbox.health()
            found += await judge_service(place, container, inbox)
            ended = sandbox.health()
    codes = () if (well, ended) == (0, 1) else (f"the exit codes were {well} and {ended}",)
    return [*found, Verdict("its health check is content while it runs, and not afterwards", codes)]


def judge_openshift(root: Path, image: Image, node: Node) -> Iterator[Verdict]:
    """Check a run with the user of a cluster's choice, in the group 0."""
    place = Place.make("openshift", node.url, owner=0)
    sandbox = Sandbox(root, image.config, place.state, user=_OPENSHIFT)
    with running(sandbox, "openshift") as (container, _):
        code = container.stop()
    yield Verdict(f"it runs as {_OPENSHIFT} as well", () if code == 0 else (f"its exit code was {code}",))


def judge_size(root: Path) -> Verdict:
    """Check what the image adds to its base."""
    files = (path.lstat() for path in (root / "opt").rglob("*"))
    size_mib = round(sum(file.st_size for file in files) / 2**20)
    sentence = f"it adds {size_mib} MiB to its base, and no more than {_MAX_MIB}"
    return Verdict(sentence, () if size_mib <= _MAX_MIB else (f"{size_mib} MiB",))


def verdicts() -> Iterator[Verdict]:
    """Build the image twice, run it, and yield what is found."""
    version = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    arguments = {"VERSION": version, "REVISION": "0123abc", "SOURCE": "https://example.com/image-test"}
    install_tools()
    builder = Builder(_CHECKOUT, _DIRECTORY)
    builder.base()
    image, again = (builder.build(_NAME, arguments) for _ in range(2))
    yield from judge_image(image, again, version)
    with builder.mounted(_NAME) as root, Node() as node:
        yield judge_size(root)
        yield from asyncio.run(judge_run(root, image, node))
        yield from judge_openshift(root, image, node)


def main() -> int:
    """Print every verdict; return the exit code."""
    failed = 0
    try:
        for verdict in verdicts():
            print(f"{'WRONG' if verdict.complaints else 'ok':5} image: {verdict.sentence}", flush=True)
            for complaint in verdict.complaints:
                print(f"      {complaint}")
            failed += bool(verdict.complaints)
    except (BuildFailed, ProgramFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
