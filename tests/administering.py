"""What an administrator does to a broker, evaluated in the node: `rabbitmqctl` takes seconds to start."""

import json

from rabbitmq import Node


def permit(node: Node, vhost: str, configure: str, write: str, read: str, *, user: str = "") -> None:
    """Let a user, the administrator unless told, do no more than this in a virtual host, named by its URL."""
    rights = ", ".join(map(_binary, (configure, write, read, node.user)))
    node.evaluate(
        "rabbit_auth_backend_internal:set_permissions("
        f"{_binary(user or node.user)}, {_binary(_name(vhost))}, {rights})."
    )


def close_connections(node: Node, vhost: str, reason: str) -> None:
    """Close every connection to a virtual host, as `rabbitmqctl close_all_connections` does."""
    node.evaluate(
        "[rabbit_networking:close_connection(Pid, "
        f"{json.dumps(reason)}) || Pid <- rabbit_networking:connections(), "
        f"[{{vhost, {_binary(_name(vhost))}}}] =:= rabbit_networking:connection_info(Pid, [vhost])]."
    )


def set_password(node: Node, user: str, password: str) -> None:
    """Make a user, or give it another password."""
    names = f"{_binary(user)}, {_binary(password)}, {_binary(node.user)}"
    node.evaluate(
        f"case rabbit_auth_backend_internal:exists({_binary(user)}) of "
        f"true -> rabbit_auth_backend_internal:change_password({names}); "
        f"false -> rabbit_auth_backend_internal:add_user({names}) end."
    )


def delete_user(node: Node, user: str) -> None:
    """Take a user away."""
    node.evaluate(f"rabbit_auth_backend_internal:delete_user({_binary(user)}, {_binary(node.user)}).")


class Alarm:
    """The memory alarm of a node, by its own word: while it lasts, nobody may publish to it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def begin(self) -> None:
        """Set it; the first expression only posts it, and that the second is answered says it is in force."""
        self._node.evaluate(
            "rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}), rabbit_alarm:get_alarms()."
        )

    def end(self) -> None:
        """Clear it, if it is on."""
        self._node.evaluate(
            "rabbit_alarm:clear_alarm({resource_limit, memory, node()}), rabbit_alarm:get_alarms()."
        )


def _name(vhost: str) -> str:
    return vhost.rpartition("/")[2]


def _binary(text: str) -> str:
    """Write a text for Erlang, byte by byte: nothing in it needs quoting."""
    return f"<<{','.join(map(str, text.encode()))}>>"
