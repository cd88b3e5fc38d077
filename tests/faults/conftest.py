"""A broker that the faults may hurt, clean again for each test, and a trial on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.control import Control, empty
from tests.faults.rig import Rig
from tests.faults.trial import Trial

from rabbitmq import Node

_MESSAGE_BYTES = 16 << 20


@pytest.fixture(scope="session")
def hurt_rabbitmq() -> Iterator[Node]:
    """One node for all the faults' own tests; take `broker`."""
    with Node() as node:
        yield node


@pytest.fixture
def broker(hurt_rabbitmq: Node) -> Node:
    """A running node with nothing in it, whatever the last test did to it."""
    if not hurt_rabbitmq.running:
        hurt_rabbitmq.start()
    control = Control(hurt_rabbitmq)
    control.set_memory_alarm(on=False)
    control.set_disk_alarm(on=False)
    control.set_max_message_size(_MESSAGE_BYTES)
    empty(hurt_rabbitmq)
    return hurt_rabbitmq


@pytest.fixture
def trial(broker: Node, tmp_path: Path) -> Iterator[Trial]:
    """Senders, bridge and consumers at work on a clean broker."""
    with Rig(tmp_path, broker) as rig, Trial(rig) as at_work:
        yield at_work
