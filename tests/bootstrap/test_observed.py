"""What is seen of the bodies outlives the bridge, in a file that nothing depends on."""

import json
import signal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from tests.bootstrap.running import bridge, configure
from tests.ingest.sources import CLASS

from tms_bridge.bootstrap.observed import FILE_NAME, ObservationKeeper, read_observations
from tms_bridge.ingest.observation import SETTLED
from tms_bridge.log import Log
from tms_bridge.metrics import Metrics
from tms_bridge.settings.model import Logging as LogSettings


class Lines:
    def __init__(self) -> None:
        self.raw = b""

    def write(self, line: bytes) -> int:
        self.raw += line
        return len(line)


class Kept:
    """A keeper, and what it says."""

    def __init__(self, directory: Path | None) -> None:
        self.lines = Lines()
        self.metrics = Metrics(CollectorRegistry())
        log = Log(LogSettings(), self.lines)
        where = None if directory is None else str(directory)
        self.keeper = ObservationKeeper(where, self.metrics.intake, log.logger)

    def take(self, body: bytes, times: int = 1) -> None:
        for at in range(times):
            self.keeper.observations.note(body, CLASS, None, 1 + at)

    def keep(self) -> None:
        if (thread := self.keeper.keep()) is not None:
            thread.join()


def test_what_was_seen_is_kept_for_the_owner_alone_and_read_again(tmp_path: Path) -> None:
    before = Kept(tmp_path)
    before.take(b'{"Id":1}', 3)
    before.keep()
    assert 0o600 == (tmp_path / FILE_NAME).stat().st_mode & 0o777
    after = Kept(tmp_path)
    after.take(b'{"Id":1}')
    (observation,) = after.keeper.observations.all()
    assert (4, 4) == (observation.bodies, observation.members["/Id"].count)
    assert [FILE_NAME] == [path.name for path in tmp_path.iterdir()]


def test_nothing_is_written_while_nothing_comes(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":99,"observations":[]}', b"\xff"])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert () == read_observations(tmp_path / FILE_NAME)
    kept = Kept(tmp_path)
    kept.take(b'{"Id":1}')
    kept.keep()
    assert 1 == len(read_observations(tmp_path / FILE_NAME))


def test_a_directory_that_is_gone_is_said_and_harms_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "gone")
    kept.take(b'{"Id":1}')
    kept.keep()
    assert b"the record of members could not be written" in kept.lines.raw


def test_without_an_outbox_nothing_is_kept() -> None:
    kept = Kept(None)
    kept.take(b'{"Id":1}')
    kept.keep()
    assert b"" == kept.lines.raw


def test_news_is_one_line_in_the_log_and_one_count(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.take(b'{"Id":1}', SETTLED)
    kept.take(b'{"Id":1,"Planted":"secret"}', 3)
    (line,) = map(json.loads, kept.lines.raw.splitlines())
    assert ("the sender's bodies have changed", "/Planted", "string") == (
        line["event"],
        line["member"],
        line["type"],
    )
    assert b"secret" not in kept.lines.raw
    labels = {"source": "contoso", "trigger": "class"}
    assert 1.0 == kept.metrics.registry.get_sample_value("tms_bridge_members_new_total", labels)


async def test_a_running_bridge_remembers_over_a_restart_what_it_saw(tmp_path: Path) -> None:
    for count in (1, 2):
        async with bridge(configure(tmp_path)) as process:
            assert 202 == (await process.post(7))[0]
            process.send(signal.SIGTERM)
            assert 0 == await process.end()
        (observation,) = read_observations(tmp_path / "outbox" / FILE_NAME)
        assert ("contoso", "class", count) == (observation.source, observation.trigger, observation.bodies)
        assert count == observation.members["/ConfirmationStatusId"].count
