"""The consumer whose inbox is in PostgreSQL, with a server of the test's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from bridge import Bridge
from ports import free_port

from .conftest import Torture
from .day import EXAMPLES, Consumer, Sender, State, bad_day
from .environments import interpreter

OWNER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URL of a database, in a server that ends with the test."""
    directory, port = Path(tempfile.mkdtemp(prefix="tms-postgresql-")), free_port()
    if OWNER is not None:
        shutil.chown(directory, OWNER)
    data = directory / "data"
    initdb = [_program("initdb"), "--auth=trust", "--username=tms", "--no-sync", "-D", str(data)]
    subprocess.run(initdb, check=True, user=OWNER, stdout=subprocess.DEVNULL, cwd=directory)
    options = [
        "-c",
        f"port={port}",
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={directory}",
    ]
    with subprocess.Popen([_program("postgres"), "-D", data, *options], user=OWNER, cwd=directory) as server:
        yield f"postgresql://tms@127.0.0.1:{port}/postgres"
        server.terminate()
    shutil.rmtree(directory)


def _program(name: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    assert found is not None, f"install PostgreSQL: there is no {name}"
    return found


def ask(url: str, statement: str) -> list[str] | None:
    """Return the rows that a statement gives; None where the server or a table is not there yet."""
    command = ["psql", "--no-psqlrc", "-At", url, "-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None


class PostgresqlConsumer(Consumer):
    """Keeps its state in PostgreSQL; `database` is its URL."""

    def state(self) -> State:
        """Return each class's last status and how many events were applied to it."""
        rows = ask(self.database, "SELECT key, status, changes FROM class") or []
        return {key: (status, int(changes)) for key, status, changes in (row.split("|") for row in rows)}


async def test_a_consumer_with_postgresql_survives_a_bad_day(vhost: str, postgresql: str) -> None:
    await until(lambda: ask(postgresql, "SELECT 1") == ["1"])
    name = "postgresql_consumer.py"
    consumer = PostgresqlConsumer([interpreter(name), EXAMPLES / name], vhost, postgresql)
    with Bridge(vhost) as bridge:
        try:
            await bad_day(consumer, Sender(bridge), bridge, vhost)
        finally:
            await consumer.kill()


async def test_torture_finds_nothing_with_it(tortured: Torture, postgresql: str) -> None:
    await until(lambda: ask(postgresql, "SELECT 1") == ["1"])
    name = "postgresql_consumer.py"
    verdict = await tortured([interpreter(name), EXAMPLES / name], database=postgresql)
    assert ([], 13) == (verdict.findings, len(verdict.ordeals))
