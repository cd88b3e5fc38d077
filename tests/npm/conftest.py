"""These tests fetch packages with npm, which those of every day do without: `make npm-test` runs them."""

import os

collect_ignore = [] if os.environ.get("NPM_TESTS") else ["test_npm.py"]
