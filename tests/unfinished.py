"""What tests/test_style.py does not allow and the code still has. These lists may only become shorter."""

# Class names that more than one module defines.
DOUBLES = """
""".split()  # noqa: SIM905 - a name a line is a line of the diff

# Public classes whose noun docs/glossary.md does not have.
NAMELESS = """
AdminApi
Attempt
Body
Checked
Choice
Compared
Distribution
Drift
Entry
Forms
Latency
Moments
Output
OverApi
Plan
Program
Report
Sender
Tally
""".split()  # noqa: SIM905 - a name a line is a line of the diff

# Packages with more than a dozen files.
CROWDED = """
cli
""".split()  # noqa: SIM905 - a name a line is a line of the diff
