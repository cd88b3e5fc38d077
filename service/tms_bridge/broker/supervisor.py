"""Keeps a publisher open: tries the hosts in turn, waits between rounds, sees to the topology.

It does not use the client's own robust connection: that one knows one URL, has no back-off, and hides from
its user when a publish must be taken as of unknown fate (see docs/adr/0004).
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from yarl import URL

from tms_bridge.broker import topology
from tms_bridge.broker.publisher import PipelinedPublisher, check_channel, check_client
from tms_bridge.broker.session import Session, open_session, place_of, translated
from tms_bridge.errors import BrokerError
from tms_bridge.log import Logger
from tms_bridge.metrics import PublishMetrics
from tms_bridge.settings.model import Amqp

QUICK_CONNECT_S: Final = 4.0
"""How long a host may take in the first round: a dead one must not keep us from the next."""

PATIENT_CONNECT_S: Final = 10.0
"""How long it may take in later rounds: a broker that has just started is slow."""

MEND_EVERY_S: Final = 60.0
"""How often what is wrong with the topology is declared again: somebody may have made room for it."""

FIRST_S: Final = 0.2
LONGEST_S: Final = 5.0
STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one."""


class Supervisor:
    """Where publishers come from; `keep_topology` runs beside it.

    Args:
        read_urls: reads the brokers' URLs as they are configured now, for a password may have been changed;
            None: they stay those of the settings.
    """

    def __init__(
        self,
        settings: Amqp,
        metrics: PublishMetrics,
        log: Logger,
        read_urls: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._settings = settings
        self._read_urls = read_urls
        self._metrics = metrics
        self._log = log
        self._urls = [amqp_url(text) for text in settings.urls]
        self._turn = 0
        self._backoff = Backoff()
        self._publisher: PipelinedPublisher | None = None
        self._session: Session | None = None
        self._opened_at = 0.0
        self._dirty = False
        self._mend = asyncio.Event()
        self.topology_errors: tuple[str, ...] = ()
        self.error = ""
        """Why the broker could not be reached last; empty while it can be."""

    @property
    def connected(self) -> bool:
        """Whether a publisher is open."""
        return self._publisher is not None and self._publisher.open

    @property
    def blocked(self) -> bool:
        """Whether the broker blocks publishing just now (a memory or disk alarm)."""
        return self.connected and self._publisher is not None and self._publisher.blocked

    def why_not_ready(self) -> str | None:
        """Return why the broker confirms nothing, for an outbox without a disk; None where it does."""
        if not self.connected:
            return "the broker is not connected, and there is no outbox on disk"
        return "the broker blocks publishing (a memory or disk alarm)" if self.blocked else None

    async def connect(self) -> PipelinedPublisher:
        """Try the hosts in turn, with jittered back-off, until a publisher is open.

        Raises:
            ClientUnfit: the AMQP client that is installed is none on which the publisher was tested.
        """
        check_client()
        await asyncio.sleep(self._wait_after_loss())
        while True:
            await self._resolve_urls()
            for _ in self._urls:
                url = self._urls[self._turn % len(self._urls)]
                try:
                    with translated(f"connect to {place_of(url)}"):
                        return await self._open(url)
                except BrokerError as failure:
                    self._turn += 1
                    self.error = str(failure)
                    self._log.warning("broker connection failed", broker=place_of(url), reason=str(failure))
            await asyncio.sleep(self._backoff.next())

    async def _resolve_urls(self) -> None:
        """Read the URLs anew; what cannot be read leaves them as they were, and a reload will say why."""
        if self._read_urls is not None:
            try:
                self._urls = [amqp_url(text) for text in await asyncio.to_thread(self._read_urls)]
            except Exception as failure:  # noqa: BLE001 - whatever is wrong there, the broker must be tried
                self._log.debug("broker URLs could not be read again", reason=str(failure))

    def _wait_after_loss(self) -> float:
        if self._publisher is None:
            return 0.0
        self._turn += 1
        lived_s = asyncio.get_running_loop().time() - self._opened_at
        return self._backoff.after_loss(lived_s, useful=self._publisher.useful)

    async def _open(self, url: URL) -> PipelinedPublisher:
        session = await self._connect(url)
        try:
            if not await self._see_to_topology(session):
                # What became of the declarations must not keep us from publishing.
                await session.abort()
                session = await self._connect(url)
            publisher = await self._open_publisher(session)
        except BaseException:
            await session.abort()
            raise
        self._session = session
        session.link.watch(self._mend.set)
        self._note_open(publisher, url)
        return publisher

    def take_over(self, settings: Amqp) -> None:
        """Keep these queues from now on, and go to these brokers when the connection is lost."""
        self._settings = msgspec.structs.replace(self._settings, queues=settings.queues)
        self._urls = [amqp_url(text) for text in settings.urls]
        self._dirty = True
        self._mend.set()

    async def keep_topology(self) -> None:
        """Declare what is not as configured: when that may help, and every minute until it is right."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MEND_EVERY_S):
                    await self._mend.wait()
            self._mend.clear()
            # A blocked connection is not read; its end is a change of the link, and comes here again.
            if self._dirty and self._session is not None and self.connected and not self.blocked:
                await self._see_to_topology(self._session)

    async def open_session(self) -> Session:
        """Open one more connection to the broker that is in turn, for what an operator does.

        Raises:
            BrokerError: it cannot be reached.
        """
        url = self._urls[self._turn % len(self._urls)]
        with translated(f"connect to {place_of(url)}"):
            return await self._connect(url)

    async def _connect(self, url: URL) -> Session:
        return await open_session(
            url,
            context=await asyncio.to_thread(tls_context, url),
            heartbeat_s=self._settings.heartbeat_s,
            name=connection_name(),
            timeout_s=PATIENT_CONNECT_S if self._backoff.rounds else QUICK_CONNECT_S,
        )

    def _note_open(self, publisher: PipelinedPublisher, url: URL) -> None:
        if self._publisher is not None:
            self._metrics.reconnects.inc()
        self._publisher = publisher
        self.error = ""
        self._opened_at = asyncio.get_running_loop().time()
        self._log.info("broker connected", broker=place_of(url))

    async def _see_to_topology(self, session: Session) -> bool:
        """Tell a wrong topology, but do not stay away for it; false: the connection did not survive."""
        inspect = topology.apply if self._settings.declare else topology.check
        try:
            findings = await inspect(session, topology.configured(self._settings))
        except BrokerError as failure:
            self._note_topology([str(failure)])
            return False
        self._note_topology([str(finding) for finding in findings if finding.wrong])
        return True

    def _note_topology(self, problems: list[str]) -> None:
        """Keep what is wrong, and say what is new of it."""
        former, self.topology_errors = self.topology_errors, tuple(problems)
        self._dirty = bool(problems)
        for problem in problems:
            if problem not in former:
                self._log.error("topology is not as configured", problem=problem)
        if former and not problems:
            self._log.info("topology is as configured now")

    async def _open_publisher(self, session: Session) -> PipelinedPublisher:
        return PipelinedPublisher(
            session,
            await check_channel(session, await session.confirm_channel()),
            max_outstanding=self._settings.max_outstanding,
            confirm_timeout_s=self._settings.confirm_timeout_s,
        )


class Backoff:
    """Exponential with full jitter: many bridges that lost one broker do not come back in step."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._rounds = 0

    @property
    def rounds(self) -> int:
        """How many rounds over all hosts have failed since the last good connection."""
        return self._rounds

    def next(self) -> float:
        """Return the seconds to wait after one more failed round."""
        ceiling = min(LONGEST_S, FIRST_S * 2**self._rounds)
        if ceiling < LONGEST_S:
            self._rounds += 1
        return float(self._jitter() * ceiling)

    def after_loss(self, seconds: float, *, useful: bool) -> float:
        """Return the seconds to wait after the loss of a connection that was open for so long.

        One that was open for long was a good one, and the next is tried at once. One that confirmed
        anything is worth the shortest wait. Any other failed as if it had never opened.
        """
        if useful or seconds >= STABLE_AFTER_S:
            self._rounds = 0
        return 0.0 if seconds >= STABLE_AFTER_S else self.next()


def amqp_url(text: str) -> URL:
    """Return the URL with its port filled in."""
    url = URL(text)
    return url if url.explicit_port else url.with_port(5671 if url.scheme == "amqps" else 5672)


def connection_name() -> str:
    """Name our connections so that the broker's operator knows them."""
    return f"tms-bridge@{socket.gethostname()}"


def tls_context(url: URL) -> ssl.SSLContext | None:
    """Return the TLS settings of an amqps URL, with the files that its query names; always verifies."""
    if url.scheme != "amqps":
        return None
    query = url.query
    try:
        context = ssl.create_default_context(cafile=query.get("cafile"), capath=query.get("capath"))
        if "certfile" in query:
            context.load_cert_chain(query["certfile"], query.get("keyfile"))
    except OSError as failure:
        raise BrokerError(f"the TLS files of {place_of(url)} cannot be read: {failure}") from failure
    return context
