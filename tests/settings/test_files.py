import os
from pathlib import Path

import pytest

from tms_bridge.settings.interpolation import MAX_BYTES, Unresolved, read_file


def reason(path: Path) -> str:
    with pytest.raises(Unresolved) as caught:
        read_file(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ""),
        (b"text\r\n", "text\r\n"),
        (b"\xef\xbb\xbftext", "text"),
        (b"\xef\xbb\xbf\xef\xbb\xbftext", "text"),
        ("te\ufeffxt".encode(), "te\ufeffxt"),
        (b"x" * MAX_BYTES, "x" * MAX_BYTES),
    ],
)
def test_the_text_of_a_file_comes_without_its_mark(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x" * (MAX_BYTES + 1), "it is longer than 64 KiB"),
        (b"\xff", "it is not UTF-8 text"),
        ("password".encode("utf-16"), "it is UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff\x00p", "it is UTF-16 text; save it as UTF-8"),
    ],
)
def test_what_is_no_text_of_this_size_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert reason(tmp_path / "file") == expected


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    assert reason(tmp_path) == "it is a directory"
    assert reason(tmp_path / "pipe") == "it is not a regular file"
    assert reason(Path("/dev/zero")) == "it is not a regular file"
    assert reason(tmp_path / "none") == "no such file or directory"
    assert reason(tmp_path / "loop") == "too many levels of symbolic links"
    assert reason(Path("nul\0")) == "the path holds a NUL character"


def test_a_pipe_that_is_written_to_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(writer, b"secret")
        assert reason(tmp_path / "pipe") == "it is not a regular file"
    finally:
        os.close(writer)


def test_a_file_whose_length_the_kernel_does_not_tell_is_read_whole() -> None:
    assert "Name:" in read_file(Path("/proc/self/status"))
