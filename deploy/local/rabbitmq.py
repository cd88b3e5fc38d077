"""A private RabbitMQ node: own port, own data, own Erlang port mapper; gone when its starter is gone.

Nothing of the user's or the machine's is touched: no `~/.erlang.cookie`, no `/var/lib/rabbitmq`, no epmd
that outlives the node. Run as a program it prints its AMQP URL and stays up until it is interrupted.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from generations import choose_installation
from installation import Installation
from janitor import Janitor
from ports import free_port
from program import Program, ProgramFailedError

_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_TAIL_LINES = 30
_NOT_CONNECTED = "erl_call: failed to connect"
_CONNECT_TRIES = 4


class BrokerFailedError(ProgramFailedError):
    """The node did not do what was asked; the text ends with the tail of its log."""


class NotConnectedError(BrokerFailedError):
    """The node could not be reached, and so did nothing."""


class Node(Program):
    """One RabbitMQ node; use it as a context manager, or call `start` and `close`.

    Attributes:
        port: where it listens for AMQP, on 127.0.0.1, the same after every restart.
        user: the administrator's name.
        password: the administrator's password.
        name: the Erlang node name.
        epmd_port: the port of its Erlang port mapper, which all nodes of a cluster share.
    """

    title = "RabbitMQ"
    failure = BrokerFailedError

    def __init__(  # noqa: PLR0913 - every argument has a default; a cluster sets most of them
        self,
        installation: Installation | None = None,
        *,
        name: str | None = None,
        cookie: str | None = None,
        epmd_port: int | None = None,
        plugins: Sequence[str] = (),
        conf: Mapping[str, str] | None = None,
    ) -> None:
        self._installation = installation or choose_installation()
        self.name = name or f"tms-{secrets.token_hex(4)}@localhost"
        self.user = "tms"
        self.password = secrets.token_hex(8)
        self.port = free_port()
        self._dist_port = free_port()
        self._cookie = cookie or secrets.token_hex(16)
        self.epmd_port = epmd_port or free_port()
        self._needs_mapper = epmd_port is None
        self._plugins = plugins
        self._conf = dict(conf or {})
        self._mapper: subprocess.Popen[bytes] | None = None
        self._directory = self._make_directory()
        super().__init__(Janitor(self._directory, command=self._installation.cleanup))

    @property
    def url(self) -> str:
        """The AMQP URL of the default virtual host."""
        return self.url_for("/")

    def url_for(self, vhost: str) -> str:
        """Return the AMQP URL of a virtual host."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    @property
    def log(self) -> str:
        """Everything that the node has logged, with what it printed while it started."""
        parts = (self._directory / name for name in ("console.log", "node.log"))
        return "".join(part.read_text(errors="replace") for part in parts if part.exists())

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start the node and wait until it answers the AMQP handshake."""
        self.start_mapper()
        environment = self._environment()
        command = self._installation.server(environment, self._directory, self.port)
        # Mnesia leaves its dump in the working directory when a node fails to start.
        self._process = self._janitor.spawn(
            command, env=environment, cwd=self._directory, output=self._directory / "console.log"
        )
        self.wait_ready(timeout_s=timeout_s)

    def start_mapper(self) -> None:
        """Start the port mapper in the foreground; Erlang would start a daemon that outlives the node.

        `start` does it as well. Nodes of a cluster that start side by side want it beforehand.
        """
        if not self._needs_mapper:
            return
        self._needs_mapper = False
        arguments = ("-address", "127.0.0.1", "-port", str(self.epmd_port))
        command = self._installation.erlang("epmd", *arguments)
        if command is None:
            return
        self._mapper = self._janitor.spawn(command, env=os.environ, cwd=self._directory)

    def is_ready(self) -> bool:
        """Tell whether the node answers the AMQP handshake."""
        return _answers(self.port)

    def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until it is ready, which takes longer than a program of ours."""
        super().wait_ready(timeout_s=timeout_s)

    def send_signal(self, number: int) -> None:
        """Send the Erlang machine a signal."""
        self._installation.signal(self._started(), number)

    def restart(self, *, timeout_s: float = 60.0) -> None:
        """Start the node again on the same data and port, stopping it first if it runs."""
        if self._process is not None:
            self.stop()
        self.start(timeout_s=timeout_s)

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing answers."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen node go on."""
        self.send_signal(signal.SIGCONT)

    def ctl(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run `rabbitmqctl` against this node and return what it printed."""
        return self._run(
            self._installation.control(self._environment(), "--quiet", *arguments), timeout_s=timeout_s
        )

    def evaluate(self, erlang: str) -> str:
        """Evaluate Erlang expressions in the node, far faster than `rabbitmqctl` starts.

        Args:
            erlang: expressions separated by commas and closed with a full stop.

        Returns:
            The value of the last one, as Erlang prints it.
        """
        command = self._installation.erlang("erl_call", "-sname", self.name, "-c", self._cookie, "-e")
        if command is None:
            return self.ctl("eval", erlang).strip()
        answer = self._call_erlang(command, f"{erlang}\n")
        if not answer.startswith("{ok, "):
            raise BrokerFailedError(f"{erlang}\n{answer}")
        return answer.removeprefix("{ok, ").removesuffix("}")

    def _call_erlang(self, command: list[str], stdin: str) -> str:
        """Run `erl_call`, again where a busy machine kept it from connecting: then nothing was evaluated."""
        for _ in range(_CONNECT_TRIES - 1):
            with contextlib.suppress(NotConnectedError):
                return self._run(command, timeout_s=30.0, stdin=stdin)
            time.sleep(0.5)
        return self._run(command, timeout_s=30.0, stdin=stdin)

    def add_vhost(self, vhost: str) -> str:
        """Make a virtual host that the administrator may use in full; return its URL."""
        user, name, everything = f'<<"{self.user}">>', f'<<"{vhost}">>', '<<".*">>'
        self.evaluate(
            f"rabbit_vhost:add({name}, {user}), rabbit_auth_backend_internal:set_permissions("
            f"{user}, {name}, {everything}, {everything}, {everything}, {user})."
        )
        return self.url_for(vhost)

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host with everything in it."""
        self.evaluate(f'rabbit_vhost:delete(<<"{vhost}">>, <<"{self.user}">>).')

    def close(self) -> None:
        """End the node at once, with its port mapper, and remove its directory."""
        super().close()
        if self._mapper is not None:
            self._mapper.wait()
            self._mapper = None

    def _run(self, command: list[str], *, timeout_s: float, stdin: str = "") -> str:
        done = subprocess.run(
            command,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            kind = NotConnectedError if _NOT_CONNECTED in done.stderr else BrokerFailedError
            raise kind(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def tail(self) -> str:
        """Return the end of the log, or the first errors in it: Erlang's crash reports bury their cause."""
        lines = self.log.splitlines()
        errors = [line for line in lines if "[error]" in line and line.rstrip()[-1] != ">"]
        return "\n".join(errors[:_TAIL_LINES] or lines[-_TAIL_LINES:])

    def _inside(self, name: str) -> str:
        """Return a path in the node's directory as the node sees it."""
        return "/" + str((self._directory / name).relative_to(self._installation.root))

    def _make_directory(self) -> Path:
        # Short: epmd and Erlang build socket and file names from it.
        parent = Path(tempfile.gettempdir())
        if self._installation.root != Path("/"):
            parent = self._installation.root / "tmp"
        directory = Path(tempfile.mkdtemp(prefix="tms-rabbitmq-", dir=parent))
        cookie = directory / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        (directory / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        (directory / "rabbitmq.conf").write_text(self._configuration())
        (directory / "none").touch()
        return directory

    def _configuration(self) -> str:
        values = {
            "listeners.tcp.local": f"{self._installation.listen}:{self.port}",
            "default_user": self.user,
            "default_pass": self.password,
            "vm_memory_high_watermark.absolute": "1GiB",
            "disk_free_limit.absolute": "50MB",
            "raft.wal_max_size_bytes": str(16 * 1024 * 1024),
            "log.file.level": "info",
        }
        return "".join(f"{key} = {value}\n" for key, value in (values | self._conf).items())

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": self._inside(""),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_CRASH_DUMP": "/dev/null",
            # The script then becomes the Erlang machine instead of waiting beside it: one process id.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": self._inside("none"),
            "RABBITMQ_CONFIG_FILE": self._inside("rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._inside("none.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": self._inside("config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._inside("enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": self._inside("data"),
            "RABBITMQ_LOG_BASE": self._inside("log"),
            "RABBITMQ_LOGS": self._inside("node.log"),
            "RABBITMQ_PID_FILE": self._inside("node.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +A 4 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _answers(port: int) -> bool:
    """Tell whether an AMQP server sends connection.start: the first byte of a method frame."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(_AMQP_HEADER)
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def main() -> int:
    """Run a node until interrupted."""
    with Node() as node:
        print(node.url, flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
