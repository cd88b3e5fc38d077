"""All targets that are judged within this process, by name."""

from tests.fuzz.callers import FORWARDING, PROXY_HEADER
from tests.fuzz.decoder import DECODER
from tests.fuzz.files import CONFIGURATION, PAGE, ROWS

TARGETS = {one.name: one for one in (DECODER, FORWARDING, PROXY_HEADER, CONFIGURATION, PAGE, ROWS)}
