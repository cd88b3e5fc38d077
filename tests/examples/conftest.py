"""What needs packages or a server that the tests of every day do without is left to `make examples-test`."""

from .environments import OWN

collect_ignore = [] if OWN else ["test_postgresql.py"]
