import os
from pathlib import Path

import pytest
from tests.admin.fuzz import run

COUNT = int(os.environ.get("FUZZ", "500"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_argument_and_no_imported_line_ends_the_bridge(tmp_path: Path, seed: int) -> None:
    answers = await run(tmp_path, COUNT, seed)

    assert {200, 400, 404, 405} <= set(answers)
