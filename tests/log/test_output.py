import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tms_bridge.log.output import LogOutput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def _read_lines(reading: int, count: int) -> list[bytes]:
    data = b""
    while data.count(b"\n") < count:
        data += os.read(reading, 65_536)
    return data.splitlines()


def test_a_line_is_there_as_soon_as_it_is_written(pipe: tuple[int, int]) -> None:
    LogOutput(pipe[1]).write(b"one\n")

    assert os.read(pipe[0], 100) == b"one\n"


def test_lines_of_two_threads_come_whole(tmp_path: Path) -> None:
    sets = [[b"%s %d" % (name, number) for number in range(5000)] for name in (b"one", b"two")]
    with (tmp_path / "log").open("wb", buffering=0) as file, ThreadPoolExecutor() as threads:
        output = LogOutput(file.fileno())
        for writing in [threads.submit(_write_lines, output, lines) for lines in sets]:
            writing.result()
    written = (tmp_path / "log").read_bytes().splitlines()
    assert [[line for line in written if line.startswith(lines[0][:3])] for lines in sets] == sets


def _write_lines(output: LogOutput, lines: list[bytes]) -> None:
    for line in lines:
        output.write(line + b"\n")


def test_a_reader_that_stops_does_not_hold_up_the_writer_and_gets_all_lines_in_order_later(
    pipe: tuple[int, int],
) -> None:
    output = LogOutput(pipe[1])
    lines = [b"%06d %s" % (number, b"x" * 90) for number in range(3000)]  # four times what a pipe holds
    for line in lines:
        output.write(line + b"\n")

    assert _read_lines(pipe[0], len(lines)) == lines
    output.close()


def test_a_line_longer_than_a_pipe_takes_at_once_comes_whole(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    output.write(b"y" * 200_000 + b"\n")

    assert _read_lines(pipe[0], 1) == [b"y" * 200_000]
    output.close()


def test_lines_beyond_the_backlog_are_dropped_and_their_number_is_told(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1], max_backlog_bytes=10_000)
    count = 3000
    for number in range(count):
        output.write(b"%06d %s\n" % (number, b"x" * 90))
    data = b""
    dropped = 0
    told: list[dict[str, object]] = []
    while data.count(b"x\n") + dropped < count:
        data += os.read(pipe[0], 65_536)
        complete = data[: data.rfind(b"\n") + 1].splitlines()
        told = [json.loads(line) for line in complete if line.startswith(b"{")]
        dropped = sum(int(str(line["lines"])) for line in told)
    output.close()

    assert {"log lines dropped"} == {line["event"] for line in told}
    assert data.count(b"x\n") + dropped == count


def test_a_reader_that_went_away_is_an_error_at_once_and_never_a_stuck_thread() -> None:
    reading, writing = os.pipe()
    output = LogOutput(writing)
    for _ in range(1000):
        output.write(b"x" * 100 + b"\n")
    os.close(reading)
    output.close()

    with pytest.raises(BrokenPipeError):
        output.write(b"more\n")
    os.close(writing)
