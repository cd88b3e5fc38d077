import os
from typing import NoReturn

import pytest

import generations
from generations import SERIES, choose_installation
from installation import DockerInstallation, find_installation
from packages import NotInstalledError
from rabbitmq import Node


def test_nothing_asked_for_takes_what_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERIES, raising=False)
    assert find_installation() in (None, choose_installation())


def test_an_unknown_series_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERIES, "5")
    with pytest.raises(NotInstalledError, match="set it to 3 or 4"):
        choose_installation()


def test_the_run_is_made_against_the_series_that_was_asked_for(rabbitmq: Node) -> None:
    version = rabbitmq.evaluate("rabbit_misc:version().").strip('"')
    assert os.environ.get(SERIES, version[0]) == version[0]


def test_what_cannot_be_laid_out_is_taken_from_docker_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> NoReturn:
        raise NotInstalledError("needs root")

    monkeypatch.setattr(generations, "provide_rabbitmq4", refuse)
    monkeypatch.setattr(generations, "docker_answers", lambda: True)
    assert isinstance(choose_installation("4"), DockerInstallation)
    monkeypatch.setattr(generations, "docker_answers", lambda: False)
    with pytest.raises(NotInstalledError, match="needs root"):
        choose_installation("4")
