"""Words that this version does not know."""

import copy
import pickle

import msgspec
import pytest

from tms_events import ClassStatus, CourseAssignmentStatus, OpenEnum, StatusFrom

ENUMERATIONS = [ClassStatus, CourseAssignmentStatus, StatusFrom]


@pytest.mark.parametrize("words", ENUMERATIONS)
def test_an_unknown_word_is_kept(words: type[OpenEnum]) -> None:
    later = words("later")
    assert (later, later.value, str(later)) == ("later", "later", "later")
    assert msgspec.json.decode(b'"later"', type=words) == later
    assert msgspec.json.encode(later) == b'"later"'
    assert msgspec.to_builtins(later) == "later"
    assert copy.deepcopy(later) == pickle.loads(pickle.dumps(later)) == later  # noqa: S301 - our own bytes
    assert {later: 1}["later"] == 1  # type: ignore[index]  # a word is its own member's key


@pytest.mark.parametrize("words", ENUMERATIONS)
def test_an_unknown_word_is_no_member(words: type[OpenEnum]) -> None:
    known = list(words)
    assert words("later") not in known
    assert list(words) == known


@pytest.mark.parametrize("words", ENUMERATIONS)
def test_only_a_word_can_be_unknown(words: type[OpenEnum]) -> None:
    with pytest.raises(msgspec.ValidationError, match="int"):
        msgspec.convert(5, words)
    with pytest.raises(ValueError, match="5"):
        words(5)  # type: ignore[arg-type]  # which is the point


def test_a_match_on_an_unknown_word_takes_the_last_case() -> None:
    match ClassStatus("archived"):
        case ClassStatus.CANCELLED | ClassStatus.UNKNOWN:
            taken = "known"
        case _:
            taken = "last"
    assert taken == "last"
