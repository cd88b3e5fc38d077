"""Does to a consumer what docs/reliability.md says may happen, and says what it did wrong.

Theory of operation:

    tms-events torture -- python consumer.py

The run declares the exchange in a virtual host of its own, starts the consumer with AMQP_URL, and stands
between it and the broker (`tap`). The consumer declares and binds its own queue, as it does in earnest;
which queue that is and where its dead letters go is read from the frames that pass. When the effect of an
event is on disk, and before it is acknowledged, the consumer writes one line to standard output:

    {"handled": "<the event's id>", "state": "<where its entity stands now; may be left out>"}

and nothing for a copy. One ordeal after the other (`ordeals`) publishes events, holds frames back, or kills
the process, and waits until every message is settled. What was sent and seen is a record (`record`), and the
oracle (`oracle`) judges it when all is over:

| kind | a consumer did this |
| --- | --- |
| lost | settled an event for good, and never said that it handled it |
| twice | said of one event more than once that it handled it |
| overwritten | put the state of an older event over that of a newer one |
| acked-early | acknowledged an event before it said that it handled it: killed between, it loses it |
| crashed | ended by itself, or did not read its queue again after a kill |
| stuck | did not settle a message, or put it back again and again |
| not-dead-lettered | let a body vanish that is no event |
| invented | said that it handled what was never sent |
| not-reached | took so long that ordeals were left over |

Why it can be sure: a line that was written before an acknowledgement is in the pipe when the tap reads the
acknowledgement, so silence then means that nothing was done. A kill "after the work, before the
acknowledgement" is no matter of luck: the tap holds the acknowledgement back until the line is there, and
then kills. A kill at any other moment leaves doubt about what was in hand, and doubt is held against nobody.
"""
