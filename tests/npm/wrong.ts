// A wrong member name, and a member of the other event: neither compiles.
import type { Event } from "tms-events";

export function words(event: Event): unknown[] {
  return event.trigger === "class" ? [event.class.min_student] : [event.class];
}
