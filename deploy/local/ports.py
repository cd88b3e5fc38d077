"""Ports for what listens on the loopback address: no two processes are given the same one."""

import functools
import itertools
import random
import socket

from program import ProgramFailedError

# Below the range from which the kernel takes ports for outgoing connections: while a node is down, nobody
# else may get the port on which it comes back.
_BLOCKS = [range(first, first + 100) for first in range(21_000, 31_000, 100)]


class PortsTakenError(ProgramFailedError):
    """Whoever else runs on this machine has left no port."""


class Ports:
    """A block of ports that other processes of this kind leave alone, also while nobody listens on them.

    The first port of a block is the sign that it is taken: it stays bound until this process has ended.
    """

    def __init__(self) -> None:
        self._sign, block = _take_block()
        self._next = itertools.cycle(block[1:])
        self._count = len(block) - 1

    def draw(self) -> int:
        """Return the next port that is free."""
        for port in itertools.islice(self._next, self._count):
            if (probe := _bind(port)) is not None:
                probe.close()
                return port
        raise PortsTakenError("all TCP ports that this process may use are taken")


def _take_block() -> tuple[socket.socket, range]:
    for block in random.sample(_BLOCKS, k=len(_BLOCKS)):
        if (sign := _bind(block[0], reuse=False)) is not None:
            return sign, block
    message = f"no free TCP ports between {_BLOCKS[0].start} and {_BLOCKS[-1].stop}"
    raise PortsTakenError(message)


def _bind(port: int, *, reuse: bool = True) -> socket.socket | None:
    """Bind a port of the loopback address, unless somebody else has it."""
    bound = socket.socket()
    # As servers do: a port that only lingers in TIME_WAIT is free. Two that only bind might share it, though.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return None
    return bound


@functools.cache
def _ports() -> Ports:
    return Ports()


def free_port() -> int:
    """Find a TCP port of the loopback address that nobody uses, and that no other process is given."""
    return _ports().draw()
