"""What every test may ask for: a real RabbitMQ, started for the tests alone."""

import os
import secrets
import signal
from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import settings
from tests.administering import Alarm
from tests.reprs import Reprs, watch

from ports import free_port
from rabbitmq import Node

# A shared machine is slow at times: no test fails for that. On CI the examples are the same every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


_LOG_LINES = 60

_HURT = {"hurt_rabbitmq", "cluster"}
_BROKERS = {"rabbitmq", "private_rabbitmq"} | _HURT


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted, also where a shell started us in the background.

    Such a shell ignores SIGINT, and every child inherits that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker, and what does a broker harm and waits until all have recovered."""
    for item in items:
        fixtures = set(item.fixturenames) if isinstance(item, pytest.Function) else set()
        if fixtures & _BROKERS:
            item.add_marker(pytest.mark.integration)
        if fixtures & _HURT:
            item.add_marker(pytest.mark.long)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped a test: what the machine lacks is installed, not left untested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the shared node has logged last: half of such failures are told there."""
    report = yield
    node = getattr(item, "funcargs", {}).get("rabbitmq")
    if report.failed and isinstance(node, Node):
        tail = "\n".join(node.log.splitlines()[-_LOG_LINES:])
        report.sections.append((f"RabbitMQ, the last {_LOG_LINES} lines of its log", tail))
    return report


@pytest.fixture
def unused_tcp_port() -> int:
    """Give a port that no other process is given, which pytest-asyncio's own does not promise."""
    return free_port()


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Give such ports, as many as a test wants."""
    return free_port


@pytest.fixture(scope="session")
def reprs() -> Iterator[Reprs]:
    """What of all that the tests see shows an object's repr; what a fixture's end shows counts too."""
    with pytest.MonkeyPatch.context() as patch:
        found = watch(patch)
        yield found
    assert [] == found.taken()


@pytest.fixture(autouse=True)
def _nothing_shows_a_repr(reprs: Reprs) -> Iterator[None]:
    yield
    assert [] == reprs.taken()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Node]:
    """One RabbitMQ node for the whole run; never stop it, take `private_rabbitmq` for that."""
    with Node() as node:
        yield node


@pytest.fixture
def vhost(rabbitmq: Node) -> Iterator[str]:
    """The AMQP URL of a virtual host of this test's own."""
    name = f"test-{secrets.token_hex(6)}"
    yield rabbitmq.add_vhost(name)
    rabbitmq.delete_vhost(name)


@pytest.fixture
def alarm(rabbitmq: Node) -> Iterator[Alarm]:
    """The shared node's alarm, which is over when the test is."""
    alarm = Alarm(rabbitmq)
    yield alarm
    alarm.end()


@pytest.fixture
def private_rabbitmq() -> Iterator[Node]:
    """A running RabbitMQ node that this test may stop, kill, freeze and start again."""
    with Node() as node:
        yield node
