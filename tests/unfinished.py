"""What tests/test_style.py does not allow and the code still has. These lists may only become shorter."""

# Class names that more than one module defines.
DOUBLES = """
""".split()  # noqa: SIM905 - a name a line is a line of the diff

# Public classes whose noun docs/glossary.md does not have.
NAMELESS = """
AdminApi
Admission
Ages
AllowFrom
Announcement
Appended
Arrival
Attempt
Backoff
Batch
Body
Bridge
Checked
Choice
Client
Closing
Committed
Compared
Context
Deadlines
Delivery
Desk
Directory
Distribution
Done
Door
Drift
Entry
Finding
Forms
FrameTap
FrameWriter
Gate
Guard
Headers
Health
Imported
InFlight
Intake
Interpolation
Kind
Latency
Listen
Loaded
Log
Machine
Marks
Misfit
Moments
Networks
NoBridge
Noise
Operation
Outcome
Output
OverApi
Owed
Pace
Parcel
Part
Pending
Plan
Probe
Program
Published
Queries
Query
Rates
Reloader
Renewal
Report
Route
Routes
Runner
Salvage
Sender
Sent
Shape
Signals
Snapshot
Space
State
States
Stats
Store
Stream
Supervisor
Tail
Tally
TapFactory
Timed
Totals
Unanswered
Unreadable
Unresolved
Verdict
Waiting
Window
Writer
""".split()  # noqa: SIM905 - a name a line is a line of the diff

# Packages with more than a dozen files.
CROWDED = """
cli
outbox
""".split()  # noqa: SIM905 - a name a line is a line of the diff
