// What a consumer may write.
import type { ClassStatus, Event } from "tms-events";

export function words(event: Event): string {
  const status: string = event.status;
  if (event.trigger === "class") {
    const fewest: number | null = event.class.min_students;
    const zone: string | null | undefined = event.class.time_zone;
    return `${status} ${fewest} ${zone} ${event.reading?.unread?.join()}`;
  }
  return `${status} ${event.course_assignment.user_id} ${event.payload}`;
}

export const later: ClassStatus = "archived";
