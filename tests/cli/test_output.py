import io
import json
from pathlib import Path

import pytest

from tms_bridge.cli.output import BridgeConsole, Output, laid_out, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain \u00e9 text", "plain \u00e9 text"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("bell\a tab\t", "bell\\x07 tab\\t"),
        ("two\nlines", "two\nlines"),
        ("left\u202eright", "left\\u202eright"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, expected: str) -> None:
    assert expected == visible(text)


def test_a_table_in_a_pipe_is_aligned_and_has_no_blanks_at_a_lines_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output(as_json=False).table(("name", "value"), [("a", "1\n22"), ("long name", None)])
    assert [
        "name       value",
        "a          1",
        "           22",
        "long name",
        "",
    ] == capsys.readouterr().out.split("\n")


LONG = "0123456789" * 3


@pytest.mark.parametrize(
    ("columns", "rows", "prose", "expected"),
    [
        (("id", "state"), [("a", "b")], False, ["id  state", "a   b"]),
        (
            ("id", "why"),
            [(LONG, "too long, it is"), ("b", "")],
            False,
            ["id", LONG, "    why too long, it is", "b"],
        ),
        (("", ""), [("label", LONG), ("x", "y")], False, [f"label  {LONG}", "x      y"]),
        (
            ("id", "", "size", "from"),
            [("a", f"it is {LONG} that is too long for one line", "7", "203.0.113.7"), ("b", "", "", "")],
            False,
            [
                "id",
                "a",
                "    it is",
                f"    {LONG}",
                "    that is too long for one",
                "    line",
                "    size 7  from 203.0.113.7",
                "b",
            ],
        ),
        (
            ("id", "size", "from", "to"),
            [(LONG, "7", LONG, "b")],
            False,
            ["id", LONG, "    size 7", f"    from {LONG}", "    to b"],
        ),
        (
            ("id", "why"),
            [("a", f"it is {LONG} that is too long for one line")],
            True,
            ["id  why", "a   it is", f"    {LONG}", "    that is too long for one", "    line"],
        ),
        (("id", "why"), [("a", "b\nc")], True, ["id  why", "a   b", "    c"]),
        (("id", "why"), [], False, ["id  why"]),
        (("", ""), [], False, []),
    ],
)
def test_columns_give_way_and_values_stay_whole(
    columns: tuple[str, ...], rows: list[tuple[str, ...]], expected: list[str], *, prose: bool
) -> None:
    assert expected == list(laid_out(columns, rows, 28, prose=prose))


def test_a_table_on_a_terminal_of_any_width_keeps_its_values_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout", screen)
    out = Output(as_json=False)
    out.table(("check", ""), [("ok", LONG)])
    out.block([("URL", LONG, "where TMS calls, and nobody else")])
    assert 2 == screen.getvalue().count(LONG)


def test_lines_of_json_are_whole_documents(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.line({"a": Path("x").name})
    out.line([1])
    assert [{"a": "x"}, [1]] == [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_broken_pipe_is_the_programs_business() -> None:
    console = BridgeConsole(io.StringIO())
    with pytest.raises(BrokenPipeError):
        console.on_broken_pipe()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True
