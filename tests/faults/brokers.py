"""Which RabbitMQ a run is made against."""

from generations import choose_installation
from rabbitmq import Node


class WrongBrokerError(Exception):
    """The RabbitMQ that was found is of another generation than the one asked for."""


def make_node(generation: str | None = None) -> Node:
    """Return a node that is not started yet: the machine's own RabbitMQ, or one of this generation."""
    node = Node(choose_installation(generation))
    if generation is not None:
        node.start()
        version = version_of(node)
        node.stop()
        if not version.startswith(f"{generation}."):
            node.close()
            raise WrongBrokerError(f"this machine has RabbitMQ {version}, not {generation}")
    return node


def version_of(node: Node) -> str:
    """Ask a running node for its version."""
    return node.evaluate("rabbit_misc:version().").strip('"')
