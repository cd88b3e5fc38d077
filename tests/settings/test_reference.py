from pathlib import Path

import msgspec
import pytest

from tms_bridge.settings import model
from tms_bridge.settings.reference import BEGIN, END, reference, refresh

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_holds_what_the_code_says() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == refresh(page)


def test_refresh_replaces_what_stands_between_the_markers_alone() -> None:
    text = refresh(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert text == f"before\n{BEGIN}\n\n{reference()}\n\n{END}\nafter\n"


def test_refresh_refuses_a_document_without_markers() -> None:
    with pytest.raises(ValueError, match="has no place for it"):
        refresh("nothing here")


@pytest.mark.parametrize(
    "row",
    [
        "### `[http]`",
        "### `[[amqp.queues]]`",
        "### `[[admin.tokens]]`",
        "### `[sources.NAME]`",
        "### `[[sources.NAME.credentials]]`",
        (
            "| `declare` | true or false | `true` | Create exchanges and queues; false: only "
            "check that they are there. |"
        ),
        "| `success_status` | integer from 200 to 299 | `202` | The answer to an event that is durable. |",
        (
            "| `dir` | string | required | Its directory, on a local disk, one process each; made "
            "when missing. |"
        ),
    ],
)
def test_the_reference_has_a_row_for_a_key(row: str) -> None:
    assert row in reference().splitlines()


def test_every_field_of_every_struct_is_described() -> None:
    structs = [
        value
        for value in vars(model).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and value not in {model.Settings, model.Mistake}
    ]
    missing = [
        f"{struct.__name__}.{field.name}"
        for struct in structs
        for field in msgspec.structs.fields(struct)
        if "description=" not in repr(field.type)
    ]
    assert (len(structs), missing) == (15, [])
