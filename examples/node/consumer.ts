// Keeps the last status of each class in a file. Survives copies, failures, crashes and bodies that are no event.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import amqplib from "amqplib";
import type { ClassChanged, Event } from "tms-events";

const QUEUE = "crm";
const FILE = process.env.DATABASE ?? "crm.json";

interface Inbox {
  ids: string[];
  classes: Record<string, { status: string; changes: number; last: string }>;
}

function isEvent(value: unknown): value is Event {
  const event = value as Partial<Event> | null;
  return typeof event?.id === "string" && (event.trigger === "class" || event.trigger === "course_assignment");
}

function apply(event: ClassChanged): void {
  const inbox: Inbox = existsSync(FILE) ? JSON.parse(readFileSync(FILE, "utf8")) : { ids: [], classes: {} };
  if (inbox.ids.includes(event.id)) return; // a copy
  const key = `${event.source}/${event.trigger}/${event.class.id}`;
  const known = inbox.classes[key] ?? { status: "", changes: 0, last: "" };
  // Ids rise with time: an older event that comes late changes no status.
  const newest = event.id > known.last ? { status: event.status, last: event.id } : {};
  inbox.classes[key] = { ...known, ...newest, changes: known.changes + 1 };
  inbox.ids.push(event.id);
  writeFileSync(`${FILE}.new`, JSON.stringify(inbox));
  renameSync(`${FILE}.new`, FILE); // the id and its effect become true in one step
  // By this line, written before the event is acknowledged, `tms-events torture` knows what was applied.
  console.log(JSON.stringify({ handled: event.id, state: inbox.classes[key].status }));
}

const connection = await amqplib.connect(process.env.AMQP_URL ?? "amqp://localhost");
connection.on("close", () => process.exit(1)); // whoever supervises this process starts it again
const channel = await connection.createChannel();
await channel.prefetch(32);
await channel.assertQueue(`${QUEUE}.dead`, { durable: true, arguments: { "x-queue-type": "quorum" } });
await channel.assertQueue(QUEUE, {
  durable: true,
  deadLetterExchange: "",
  deadLetterRoutingKey: `${QUEUE}.dead`,
  arguments: { "x-queue-type": "quorum", "x-delivery-limit": 20 },
});
await channel.bindQueue(QUEUE, "tms.events", "tms.class.*");
await channel.consume(QUEUE, async (message) => {
  if (message === null) process.exit(1); // the queue was deleted
  let event: unknown;
  try {
    event = JSON.parse(message.content.toString("utf8"));
  } catch {
    return channel.reject(message, false); // to the dead letters at once: no retry makes it an event
  }
  if (!isEvent(event) || event.trigger !== "class") return channel.reject(message, false);
  try {
    apply(event);
    channel.ack(message);
  } catch {
    await sleep(1000); // what failed now may work later; 20 times, then to the dead letters
    channel.nack(message);
  }
});
