"""Plays TMS: lifecycles of many entities, sent by TMS's own retry rule, with every answer recorded.

The fault harness and the demo use it as a library:

    plan = Plan(url="http://127.0.0.1:8080", source="contoso", headers={"X-Api-Key": "..."}, count=1000)
    report = await run(plan, on_attempt=attempts.append)
"""

from tms_bridge.cli.simulate.engine import run
from tms_bridge.cli.simulate.lives import EVERY_STATUS, Event, lives
from tms_bridge.cli.simulate.report import Attempt, Plan, Report

__all__ = ["EVERY_STATUS", "Attempt", "Event", "Plan", "Report", "lives", "run"]
