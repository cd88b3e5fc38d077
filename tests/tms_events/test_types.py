"""What type checkers make of an event."""

import subprocess
import sys
from pathlib import Path

import pytest

NARROWED = """
from typing import assert_never, assert_type
import tms_events
from tms_events import Class, ClassChanged, CourseAssignment, CourseAssignmentChanged, Event, Trigger

def by_class(event: Event) -> int:
    match event:
        case ClassChanged(class_=entity):
            assert_type(entity, Class)
            return entity.id
        case CourseAssignmentChanged(course_assignment=assignment):
            assert_type(assignment, CourseAssignment)
            return assignment.id
        case _:
            assert_never(event)

def by_trigger(event: Event) -> int:
    if event.trigger is Trigger.CLASS:
        assert_type(event, ClassChanged)
        return event.class_.id
    assert_type(event, CourseAssignmentChanged)
    return event.course_assignment.id
"""

MISNAMED = NARROWED + "\ndef misnamed(event: ClassChanged) -> object:\n    return event.class_.min_student\n"


def mypy(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    program = directory / "consumer.py"
    program.write_text(code)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={directory}",
    ]
    return subprocess.run([*command, program], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "said"), [(NARROWED, "Success"), (MISNAMED, 'has no attribute "min_student"')]
)
def test_a_type_checker_knows_an_event_by_its_class_and_by_its_trigger(
    tmp_path: Path, code: str, said: str
) -> None:
    assert said in mypy(tmp_path, code).stdout
