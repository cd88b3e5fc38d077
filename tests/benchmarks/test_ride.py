import asyncio

import ride


def test_a_ride_begins_at_the_parser_and_passes_through_the_outbox() -> None:
    on_loop, in_writer = asyncio.run(ride.ride())

    assert "http/server.py" == on_loop.files[0]
    assert {"http/parser.py", "web/intake.py", "outbox/journal.py"} <= set(on_loop.files)
    assert "outbox/database.py" in in_writer.files
