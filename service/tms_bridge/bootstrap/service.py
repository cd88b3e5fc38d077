"""The one composition root: what the bridge is made of, and the order in which it starts and ends.

Start: sockets are bound (a taken port is found before anything else happens), the outbox is opened, the
relay begins to carry, then both listeners listen. End: not ready but serving; listener closed; what has
begun is finished; the outbox is drained if the broker is there; AMQP closed; the outbox closed last.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from tms_bridge import admin, console
from tms_bridge.bootstrap.background import end, outlive
from tms_bridge.bootstrap.gauges import VERSION, bind_allowlist, bind_outbox, bind_publishing, set_facts
from tms_bridge.bootstrap.observed import ObservationKeeper
from tms_bridge.bootstrap.reload import Reloader, needs_restart, taken_over
from tms_bridge.bootstrap.signals import Signals
from tms_bridge.bootstrap.standing import Onlooker, OnlookerParts, Reloads
from tms_bridge.bootstrap.systemd import ServiceManager
from tms_bridge.bootstrap.tracing import Tracing, open_tracing
from tms_bridge.broker import Supervisor
from tms_bridge.calls import Calls
from tms_bridge.errors import ClientUnfit, OutboxError
from tms_bridge.http.connections import Connections, admin_limits_of
from tms_bridge.http.health import Health
from tms_bridge.http.proxied import build_server
from tms_bridge.http.sockets import name_of, open_sockets, start
from tms_bridge.log import Log
from tms_bridge.message import ReceivedClock
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.memory import MemoryOutbox
from tms_bridge.outbox.queries import waiting_in
from tms_bridge.relay import Relay
from tms_bridge.settings.listeners import Certificates
from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Settings
from tms_bridge.web import AccessLog, Routes, Webhooks

DONE: Final = 0
FAILED: Final = 1

_ADMIN_FINISH_S: Final = 1.0
_WEB_FINISH_S: Final = 2.0
_LEAST_S: Final = 1.0
"""The outbox's time to close in at least, and after a second SIGTERM."""

_MOST_S: Final = 30.0
_SPARE_S: Final = 0.5
"""What is left for the end of the process itself, so that it is in time too."""


class Bridge:
    """One running bridge."""

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded], log: Log) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._read = read
        self._log = log
        self._logger = log.logger
        self._signals = Signals()
        self._service_manager = ServiceManager(os.environ)
        self._metrics = Metrics(CollectorRegistry())
        self._in_force = self._settings
        self._reloads = Reloads(time.time())
        self._watchers = admin.Watchers()
        self._calls: Calls
        self._onlooker: Onlooker
        self._guard = admin.Guard(self._settings.admin)
        self._sessions = console.Sessions[admin.Holder]()
        self._certificates = Certificates(self._settings)
        self._supervisor = Supervisor(
            self._settings.amqp,
            self._metrics.publish,
            self._logger,
            read_urls=lambda: read().settings.amqp.urls,
        )
        self._tracing = Tracing()
        self._stop_by = float("inf")
        self._outbox: Journal | MemoryOutbox
        self._keeper: ObservationKeeper
        self._health: Health
        self._relay: Relay
        self._webhooks: Webhooks
        self._bus: admin.Bus

    async def run(self) -> int:
        """Serve until a signal asks to stop, or the outbox breaks; return the exit code.

        Raises:
            SettingsError: an address cannot be listened on.
            OutboxError: the outbox cannot be opened.
        """
        with self._signals.caught(), self._log.adopt_libraries():
            traffic = open_sockets("http.listen", self._settings.http.listen)
            operators = open_sockets("admin.listen", self._settings.admin.listen)
            self._outbox = await self._open_outbox()
            try:
                return await self._serve(traffic, operators)
            finally:
                await self._close_outbox()
                await self._signals.unless_hurried(self._tracing.close())
                self._logger.info("stopped", **self._backlog())

    async def _open_outbox(self) -> Journal | MemoryOutbox:
        settings = self._settings
        if settings.outbox is None:
            return MemoryOutbox(settings.dedup.window_s, why_not_ready=self._supervisor.why_not_ready)
        observe = self._metrics.outbox.commit_duration.observe
        journal = await Journal.open(
            settings.outbox,
            settings.quarantine,
            settings.dedup,
            held=settings.held,
            on_commit=lambda seconds, _rows: observe(seconds),
        )
        journal.share_among(settings.sources)
        journal.patience_s = settings.http.deadline_s
        return journal

    async def _close_outbox(self) -> None:
        """Close it in what is left of the time to stop in; where its disk hangs, end all the same."""
        left_s = self._stop_by - asyncio.get_running_loop().time()
        closing = self._outbox.close(max(_LEAST_S, min(left_s - _SPARE_S, _MOST_S)))
        if not await self._signals.soon(closing, _LEAST_S):
            self._log.close()
            os._exit(FAILED)  # a thread that hangs in the disk would keep an orderly end waiting

    async def _serve(self, traffic: list[socket.socket], operators: list[socket.socket]) -> int:
        self._compose()
        await self._warn_of_former_outbox()
        code = DONE
        try:
            await self._run_all(traffic, operators)
        except* OutboxError as broken:
            detail = str(broken.exceptions[0])
            self._logger.critical("the outbox broke; nothing that was answered 2xx is lost", detail=detail)
            code = FAILED
        except* ClientUnfit as unfit:
            self._logger.critical("the AMQP client cannot be used", detail=str(unfit.exceptions[0]))
            code = FAILED
        return code

    async def _run_all(self, traffic: list[socket.socket], operators: list[socket.socket]) -> None:
        async with asyncio.TaskGroup() as group:
            background: dict[str, Callable[[], Coroutine[None, None, None]]] = {
                "relay": self._relay.run,
                "topology": self._supervisor.keep_topology,
                "outbox watch": self._outbox.until_broken,
                "reloader": self._reloader().run,
                "onlooker": self._onlooker.run,
                "observations": self._keeper.run,
                "watchdog": self._service_manager.keep_alive,
            }
            faults = self._metrics.task_faults
            tasks = [
                group.create_task(outlive(name, run, faults, self._logger), name=name)
                for name, run in background.items()
            ]
            async with self._listening(traffic, operators) as runner:
                await self._signals.stop.wait()
                await self._wind_down(runner)
            await end(tasks)
            await self._keeper.close()

    def _compose(self) -> None:
        settings, metrics = self._settings, self._metrics
        scheme = "http" if settings.http.tls is None else "https"
        tracing = self._tracing = open_tracing(os.environ, metrics, self._logger, scheme)
        self._health = Health([self._outbox.why_not_ready])
        directory = None if settings.outbox is None else settings.outbox.dir
        self._keeper = ObservationKeeper(directory, metrics.intake, self._logger)
        self._calls = Calls(self._outbox.durable)
        broker = tracing.before(self._supervisor)
        self._relay = Relay(self._outbox, broker, metrics.publish, self._calls, self._logger, settings.amqp)
        self._webhooks = Webhooks(
            settings.http,
            Routes(settings.http, settings.sources),
            self._outbox,
            self._health,
            AccessLog(metrics.intake, self._log, self._calls, trace=tracing.call),
            observations=self._keeper.observations,
            now_us=ReceivedClock(self._outbox.newest_us),
            mark=tracing.mark,
        )
        if (operators := self._outbox.operators) is not None:
            operators.carrier, operators.reread = self._relay, self._webhooks.reread
        bind_outbox(metrics.outbox, self._outbox.stats, settings.outbox)
        bind_publishing(metrics.publish, self._supervisor, self._relay)
        metrics.ready.set_function(lambda: not self._health.reasons())
        bind_allowlist(metrics, settings.outbox)
        set_facts(metrics, settings.sources)
        self._onlooker = Onlooker(self._parts())
        self._bus = admin.Bus(
            self._calls, settings.amqp.exchange, self._supervisor.open_session, self._webhooks.send_test
        )

    def _parts(self) -> OnlookerParts:
        return OnlookerParts(
            settings=lambda: self._in_force,
            health=self._health,
            calls=self._calls,
            stats=self._outbox.stats,
            broker=self._broker_status,
            late_s=lambda: self._outbox.late_s,
            reloads=self._reloads,
        )

    @asynccontextmanager
    async def _listening(
        self, traffic: list[socket.socket], operators: list[socket.socket]
    ) -> AsyncIterator[web.ServerRunner]:
        """Listen on both listeners; ready from here on."""
        async with AsyncExitStack() as closing:
            app = admin.build(self._context(), self._guard)
            console.mount(app, self._board(), self._guard)
            connections = Connections(
                admin_limits_of(self._settings.http), "admin", self._metrics.connections, self._logger
            )
            admin_runner = await admin.start(
                app, operators, _ADMIN_FINISH_S, connections, self._certificates.admin
            )
            closing.push_async_callback(admin_runner.cleanup)
            webhooks = self._webhooks
            server = build_server(
                webhooks.handle,
                self._settings.http,
                webhooks.note_refused,
                webhooks.take,
                metrics=self._metrics.connections,
                logger=self._logger,
            )
            self._callers = server.open
            runner = await start(server, traffic, _WEB_FINISH_S, self._certificates.http)
            closing.push_async_callback(runner.cleanup)
            self._health.started = True
            self._service_manager.tell("READY=1")
            self._logger.info(
                "ready",
                version=VERSION,
                http=[*map(name_of, traffic)],
                admin=[*map(name_of, operators)],
                **self._backlog(),
            )
            try:
                yield runner
            finally:
                self._health.stopping = True

    def _backlog(self) -> dict[str, str | int]:
        """Say where the outbox is and what waits in it; a backlog that stays behind must not go unseen."""
        outbox = self._settings.outbox
        return {"outbox": outbox.dir, "waiting": self._outbox.stats().events} if outbox is not None else {}

    async def _warn_of_former_outbox(self) -> None:
        former, outbox = self._loaded.former_outbox, self._settings.outbox
        waiting = None
        with contextlib.suppress(OutboxError):  # what another bridge has open, it delivers
            waiting = await asyncio.to_thread(waiting_in, former) if former is not None else None
        if waiting is not None and outbox is not None:
            self._logger.warning(
                "another outbox is where outbox.dir used to point: its events are not delivered",
                former_outbox=str(former),
                waiting=waiting,
                outbox=outbox.dir,
                detail="outbox.dir is relative to the configuration file, not to the working directory; "
                "stop the bridge and move that directory here, or name its absolute path in outbox.dir",
            )

    def _context(self) -> admin.Context:
        return admin.Context(
            health=self._health,
            metrics=self._metrics,
            logger=self._logger,
            calls=self._calls,
            watchers=self._watchers,
            sources=lambda: self._in_force.sources,
            durable=self._outbox.durable,
            operators=self._outbox.operators,
            stats=self._outbox.stats,
            outbox_dir=self._settings.outbox.dir if self._settings.outbox is not None else None,
            broker=self._broker_status,
            standing=lambda: self._onlooker.standing,
            version=VERSION,
            observations=self._keeper.observations.all,
            in_flight=self._webhooks.in_flight.shares,
            bus=self._bus,
        )

    def _board(self) -> console.Board:
        return console.Board(
            calls=self._calls,
            sessions=self._sessions,
            tries=console.Tries(),
            settings=lambda: self._in_force,
            standing=lambda: self._onlooker.standing,
            operators=self._outbox.operators,
            bus=self._bus,
            logger=self._logger,
            watchers=self._watchers,
            replica=socket.gethostname(),
            version=VERSION,
        )

    def _broker_status(self) -> admin.BrokerStatus:
        supervisor = self._supervisor
        state: admin.BrokerState = "down"
        if supervisor.connected:
            state = "blocked" if supervisor.blocked else "up"
        return admin.BrokerStatus(
            state, self._relay.outstanding, list(supervisor.topology_errors), supervisor.error
        )

    async def _wind_down(self, runner: web.ServerRunner) -> None:
        """Stop taking in, then carry away what is there (invariant 7)."""
        http = self._settings.http
        self._health.stopping = True
        self._service_manager.tell("STOPPING=1")
        patience_s = http.shutdown_delay_s + http.deadline_s + http.drain_timeout_s
        self._stop_by = asyncio.get_running_loop().time() + patience_s
        self._logger.info("stopping", shutdown_delay_s=http.shutdown_delay_s)
        await self._signals.pause(http.shutdown_delay_s)
        for site in runner.sites:
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(http.deadline_s):
                await self._callers.settle()
                await self._signals.unless_hurried(self._webhooks.finish())
        await runner.cleanup()
        if self._supervisor.connected:
            await self._signals.unless_hurried(self._drain(http.drain_timeout_s))

    async def _drain(self, timeout_s: float) -> None:
        drained = await self._relay.drain(timeout_s)
        self._logger.info("drained" if drained else "not drained", events=self._outbox.stats().events)

    def _reloader(self) -> Reloader:
        return Reloader(
            self._loaded,
            self._read,
            self._apply,
            asked=self._signals.reload,
            success=self._metrics.reload_success,
            reloads=self._reloads,
            logger=self._logger,
        )

    async def _apply(self, settings: Settings) -> None:
        """Take over what can be; where that fails, all of it is as it was."""
        self._certificates.renew()
        try:
            self._take_over(settings)
        except Exception:
            self._take_over(self._in_force)
            raise
        before, self._in_force = self._in_force, taken_over(self._settings, settings)
        if before.admin != self._in_force.admin:  # who signed in with another token signs in once more
            self._sessions.sign_all_out()
        keys = needs_restart(self._in_force, settings)
        self._reloads.restart_pending = tuple(keys)
        self._metrics.restart_pending.set(bool(keys))
        if keys:
            self._logger.warning("restart pending: these changes are not in force yet", keys=keys)

    def _take_over(self, settings: Settings) -> None:
        """Take over sources, brokers, queues, tokens and log level; the rest needs a restart."""
        self._certificates.ask_callers(settings)
        self._webhooks.take_over(Routes(self._settings.http, settings.sources))
        self._outbox.share_among(settings.sources)
        self._guard.take_over(settings.admin)
        self._log.set_level(settings.log)
        set_facts(self._metrics, settings.sources)
        self._supervisor.take_over(settings.amqp)
