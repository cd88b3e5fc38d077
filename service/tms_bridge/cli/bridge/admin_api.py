"""The admin API on `[admin] listen`, as commands ask it, and the command `live`."""

import contextlib
import http.client
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from tms_bridge.cli.output import Output, common_options, load
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import BridgeError, InvalidQuery, RowBusy, RowMissing, SettingsError, Undecodable
from tms_bridge.settings.listeners import pinned
from tms_bridge.settings.model import Admin
from tms_bridge.settings.network import Listen, parse_listens

T = TypeVar("T")

TIMEOUT_S = 30.0
LIVE_TIMEOUT_S = 3.0
EVERYWHERE = frozenset({None, "0.0.0.0", "::"})  # noqa: S104 - recognised here, not listened on

KINDS: dict[int, type[BridgeError]] = {
    HTTPStatus.BAD_REQUEST: InvalidQuery,
    HTTPStatus.NOT_FOUND: RowMissing,
    HTTPStatus.CONFLICT: RowBusy,
    HTTPStatus.UNPROCESSABLE_ENTITY: Undecodable,
}


class NoBridge(BridgeError):  # noqa: N818 - states the fact
    """Nothing listens at the admin address."""


class ToldProblem(msgspec.Struct):
    """What the commands read of an RFC 9457 problem."""

    title: str = ""
    detail: str = ""


class AdminApi:
    """The admin API of the bridge that runs with this configuration."""

    def __init__(self, admin: Admin) -> None:
        self._tls = admin.tls
        self._listen = parse_listens(admin.listen)[0]
        self._headers = {"Accept": "application/json"}
        if admin.token:
            self._headers["Authorization"] = f"Bearer {admin.token}"

    def ask(self, method: str, path: str, answer: type[T], body: Iterable[bytes] | None = None) -> T:
        """Make one call and return its decoded answer; a body is sent as it is read.

        Raises:
            NoBridge: nothing listens there.
            SettingsError: the token is missing or not the bridge's.
            RowMissing: there is no such row.
            RowBusy: the row is in flight.
            Undecodable: the body is still no event.
            BridgeError: the bridge answered with another problem, or with what is no answer.
        """
        with self._answer(method, path, body) as response:
            content = response.read()
        try:
            return msgspec.json.decode(content or b"null", type=answer)
        except msgspec.DecodeError:
            raise BridgeError(f"{self} does not answer like a bridge; look at [admin] listen") from None

    def lines(self, path: str, at_once_bytes: int) -> Iterator[list[bytes]]:
        """Yield the lines of a streamed answer, some at a time; raises as `ask` does, at any time."""
        with self._answer("GET", path, None) as response:
            while lines := response.readlines(at_once_bytes):
                yield lines

    def lives(self) -> bool:
        """Tell whether the process answers /livez, which takes no token."""
        try:
            with self._answer("GET", "/livez", None, timeout_s=LIVE_TIMEOUT_S):
                return True
        except BridgeError:
            return False

    def __str__(self) -> str:
        """Return the address."""
        return f"{'http' if self._tls is None else 'https'}://{self._address}"

    @property
    def _address(self) -> Listen:
        listen = self._listen
        return Listen("127.0.0.1", listen.port) if listen.host in EVERYWHERE else listen

    @contextlib.contextmanager
    def _answer(
        self, method: str, path: str, body: Iterable[bytes] | None, *, timeout_s: float = TIMEOUT_S
    ) -> Iterator[http.client.HTTPResponse]:
        """Make one call, and give its answer if it is no problem."""
        connection = self._connection(timeout_s)
        try:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # refused early: the answer is there
                connection.request(method, path, body=body, headers=self._headers)
            response = connection.getresponse()
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise self._problem(response.status, response.read())
            yield response
        except ConnectionRefusedError:
            raise NoBridge(f"no bridge answers at {self}") from None
        except (OSError, http.client.HTTPException) as error:
            raise BridgeError(
                f"the bridge at {self} does not answer: {str(error) or type(error).__name__}"
            ) from None
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._address.host or "127.0.0.1", self._address.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=pinned(self._tls))

    def _problem(self, status: int, content: bytes) -> BridgeError:
        try:
            problem = msgspec.json.decode(content, type=ToldProblem)
        except msgspec.DecodeError:
            problem = ToldProblem()
        text = problem.detail or problem.title or HTTPStatus(status).phrase
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return SettingsError(f"{self} refuses the token in [admin] token: {text}")
        return KINDS.get(status, BridgeError)(text)


@click.command()
@common_options
def live(*, config: Path, out: Output) -> int:
    """Ask the running bridge whether it is alive, as a container's health check does.

    Exits 0 if it answers /livez on [admin] listen, 1 if it does not. A broker that is away does not count
    against it: a restart would fix nothing.

    \b
    Example:
      tms-bridge live
    """  # noqa: D301 - \b is how click is told to keep line breaks
    admin = AdminApi(load(config).admin)
    lives = admin.lives()
    if out.as_json:
        out.document({"live": lives})
    else:
        out.text("the bridge is alive" if lives else f"the bridge at {admin} does not answer /livez")
    return DONE if lives else NO
