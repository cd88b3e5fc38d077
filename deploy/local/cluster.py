"""RabbitMQ nodes on one machine that form a cluster, mostly of three, and can be cut off from one another."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from program import Lifetime
from rabbitmq import BrokerFailedError, Node

_WHOLE_WITHIN_S: Final = 60.0

# RabbitMQ 4 has renamed it.
_RUNNING: Final = """\
length(case erlang:function_exported(rabbit_nodes, list_running, 0) of
true -> rabbit_nodes:list_running(); false -> rabbit_nodes:all_running() end)."""


class Cluster(Lifetime):
    """Use it as a context manager.

    Attributes:
        nodes: all have the same administrator; the first leads every queue that is declared through it.
    """

    def __init__(self, size: int = 3) -> None:
        self._cookie = secrets.token_hex(16)
        names = [f"tms-{secrets.token_hex(4)}@localhost" for _ in range(size)]
        first = Node(name=names[0], cookie=self._cookie, conf=_settings(names))
        self.nodes = [first]
        admin = {"default_user": first.user, "default_pass": first.password}
        for name in names[1:]:
            conf = _settings(names) | admin
            node = Node(name=name, cookie=self._cookie, epmd_port=first.epmd_port, conf=conf)
            node.user, node.password = first.user, first.password
            self.nodes.append(node)

    def start(self) -> None:
        """Start all; return when each knows all others."""
        self.nodes[0].start_mapper()
        self.restart(*self.nodes)

    def wait_whole(self) -> None:
        """Wait until every node sees every other."""
        deadline = time.monotonic() + _WHOLE_WITHIN_S
        while any(_seen_by(node) != len(self.nodes) for node in self.nodes):
            if time.monotonic() > deadline:
                raise BrokerFailedError(f"the nodes did not see each other within {_WHOLE_WITHIN_S:g} s")
            time.sleep(0.1)

    def restart(self, *nodes: Node) -> None:
        """Start nodes again that have ended: side by side, for one may wait for another."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, nodes))
        self.wait_whole()

    def restore(self) -> None:
        """Start what does not run; a test that failed leaves that behind."""
        down = [node for node in self.nodes if not node.running]
        if down:
            self.restart(*down)

    def part(self, node: Node) -> None:
        """Cut a node off from all others: no distribution link, and none can be made.

        All at once: a node that some of the others still see is a partial partition, in which all pause.
        """
        wrong = ", ".join(f"erlang:set_cookie('{other.name}', wrong)" for other in self._others(node))
        node.evaluate(f"{wrong}, [erlang:disconnect_node(Node) || Node <- nodes()].")

    def heal(self, node: Node) -> None:
        """Let it find the others again."""
        for other in self._others(node):
            node.evaluate(f"erlang:set_cookie('{other.name}', '{self._cookie}').")
            node.evaluate(f"net_adm:ping('{other.name}').")
        self.wait_whole()

    def close(self) -> None:
        """End all nodes; the first goes last, for it has the port mapper."""
        for node in reversed(self.nodes):
            node.close()

    def _others(self, node: Node) -> list[Node]:
        return [each for each in self.nodes if each is not node]


def _settings(names: list[str]) -> dict[str, str]:
    peers = {f"cluster_formation.classic_config.nodes.{number}": name for number, name in enumerate(names, 1)}
    return {
        "cluster_formation.peer_discovery_backend": "rabbit_peer_discovery_classic_config",
        # A node that sees no majority takes nothing: without it two halves would go on apart.
        "cluster_partition_handling": "pause_minority",
        **peers,
    }


def _seen_by(node: Node) -> int:
    try:
        return int(node.evaluate(_RUNNING))
    except BrokerFailedError:
        return 0  # it is still starting, or paused
