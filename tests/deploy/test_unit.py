from pathlib import Path

import pytest

from checks.unit import judge_unit

RIGHTS = "it runs as a user of its own, may write to its state alone, and starts again, also after it hung"
EXPOSURE = "`systemd-analyze security` is content, where that is there"
CONFIGURATION = "its configuration loads with the credentials of the unit, and has no traps"
TIME = "its time to stop outlasts delay, last requests and drain"
UNIT, TOML = "tms-bridge.service", "tms-bridge.toml"


def failures(checkout: Path) -> list[str]:
    return [each.sentence.removeprefix("systemd: ") for each in judge_unit(checkout) if each.complaints]


def test_the_unit_passes(checkout: Path) -> None:
    assert [] == failures(checkout)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        (UNIT, "Type=notify", "Type=exec", RIGHTS),
        (UNIT, "WatchdogSec=30", "# WatchdogSec=30", RIGHTS),
        (UNIT, "ProtectSystem=strict", "ProtectSystem=full", RIGHTS),
        (UNIT, "Restart=always", "Restart=on-failure", RIGHTS),
        (UNIT, "StateDirectory=tms-bridge", "StateDirectory=other", RIGHTS),
        (UNIT, "SystemCallFilter=", "# SystemCallFilter=", EXPOSURE),
        (UNIT, "LoadCredential=tms-password", "LoadCredential=password", CONFIGURATION),
        (TOML, "/var/lib/tms-bridge/outbox", "/srv/outbox", CONFIGURATION),
        (TOML, '["skillable-tms"]', '["any"]', CONFIGURATION),
        (UNIT, "TimeoutStopSec=45", "TimeoutStopSec=20", TIME),
    ],
)
def test_what_is_broken_is_found(checkout: Path, file: str, old: str, new: str, sentence: str) -> None:
    path = checkout / "deploy" / "systemd" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert sentence in failures(checkout)
