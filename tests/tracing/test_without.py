"""What traces cost those who want none, and what a receiver that is away costs those who do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bootstrap.running import bridge, configure
from tests.tracing.receiver import Receiver

import ride

ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "50"}
REFUSED = "traces were asked for, and there will be none"

POISON = """\
from pathlib import Path
Path({marker!r}).touch()
raise ImportError("No module named 'opentelemetry'")
"""


@pytest.fixture
def missing(tmp_path: Path) -> tuple[str, Path]:
    """Return a PYTHONPATH on which OpenTelemetry cannot be imported, and a file that shows who tried."""
    package, marker = tmp_path / "path" / "opentelemetry", tmp_path / "tried"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(POISON.format(marker=str(marker)))
    return str(package.parent), marker


async def test_who_asks_for_no_traces_imports_nothing_for_them(
    missing: tuple[str, Path], tmp_path: Path
) -> None:
    path, marker = missing
    async with bridge(configure(tmp_path), PYTHONPATH=path) as running:
        assert 202 == (await running.post(1))[0]
        assert "trace_id" not in await running.until("webhook")
    assert not marker.exists()


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SDK_DISABLED": "true", **ASKED},
        {"OTEL_TRACES_EXPORTER": "none", **ASKED},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
async def test_the_environment_can_ask_for_no_traces(
    missing: tuple[str, Path], tmp_path: Path, environ: dict[str, str]
) -> None:
    path, marker = missing
    async with bridge(configure(tmp_path), PYTHONPATH=path, variables=environ) as running:
        assert 202 == (await running.post(1))[0]
    assert not marker.exists()


async def test_traces_without_the_extra_are_a_line_in_the_log_and_no_more(
    missing: tuple[str, Path], tmp_path: Path
) -> None:
    path, _ = missing
    async with bridge(configure(tmp_path), PYTHONPATH=path, variables=ASKED) as running:
        assert 202 == (await running.post(1))[0]
        line = await running.until(REFUSED)
    assert ("warning", "OpenTelemetry is not installed: pip install 'tms-bridge[otel]'") == (
        line["level"],
        line["detail"],
    )


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "a variable OTEL_* cannot be used: max_queue_size"),
    ],
)
async def test_a_variable_that_cannot_be_used_keeps_no_webhook_out(
    tmp_path: Path, variable: str, value: str, says: str
) -> None:
    async with bridge(configure(tmp_path), variables={**ASKED, variable: value}) as running:
        assert 202 == (await running.post(1))[0]
        line = await running.until(REFUSED)
    assert str(line["detail"]).startswith(says)


async def test_a_receiver_that_is_away_is_a_line_in_the_log(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path), variables=ASKED) as running:
        for entity in range(1, 20):
            assert 202 == (await running.post(entity))[0]
        line = await running.until("traces are not sent")
        assert "warning" == line["level"]
        assert 202 == (await running.post(20))[0]


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Listen, and never answer; yield the URL and whether anybody called."""
    called, over = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname()), called
    finally:
        over.set()
        server.close()


async def test_a_receiver_that_never_answers_holds_up_neither_a_webhook_nor_the_end(tmp_path: Path) -> None:
    # The exporter itself would wait for three minutes.
    async with silent() as (url, called):
        environ = {**ASKED, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "180"}
        async with bridge(configure(tmp_path), variables=environ) as running:
            for entity in range(1, 20):
                assert 202 == (await running.post(entity))[0]
            await called.wait()
            running.process.terminate()
            assert 0 == await running.end()


async def test_what_is_left_is_sent_at_the_end(receiver: Receiver, tmp_path: Path) -> None:
    environ = {**receiver.environ, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    async with bridge(configure(tmp_path), variables=environ) as running:
        assert 202 == (await running.post(1))[0]
        assert [] == receiver.spans
        running.process.terminate()
        assert 0 == await running.end()
    assert ["POST /webhooks/{source}/class-changed"] == [span.name for span in receiver.spans]


async def test_a_webhook_without_traces_never_enters_their_code() -> None:
    rides = await asyncio.to_thread(lambda: asyncio.run(ride.ride()))
    assert [] == [name for one in rides for name in one.files if "tracing" in name]
