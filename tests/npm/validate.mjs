// Holds every golden message, and every message saved by `tms-bridge tail --save`, to the schemas with Ajv in strict
// mode, and the AsyncAPI document to AsyncAPI's own parser: node validate.mjs SCHEMAS [MESSAGES...]
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Parser } from "@asyncapi/parser";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";

const [schemas, ...folders] = process.argv.slice(2);
const json = (...path) => JSON.parse(readFileSync(join(...path), "utf8"));
const ajv = new Ajv2020({ strict: true, allErrors: true });
formats.default(ajv);
const one = Object.fromEntries(
  ["class", "course_assignment"].map((trigger) => [trigger, ajv.compile(json(schemas, `${trigger}_changed.json`))]),
);
const union = ajv.compile(json(schemas, "event.json"));
const problems = [];
const say = (name, errors) => problems.push(...errors.map((error) => `${name}: ${JSON.stringify(error)}`));
let checked = 0;

for (const folder of [join(schemas, "golden"), ...folders]) {
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
    const { body } = json(folder, name);
    const own = one[body.trigger];
    if (!own(body)) say(name, own.errors);
    if (!union(body)) say(name, union.errors);
    const broken = structuredClone(body);
    broken[body.trigger].id = "seven";
    if (own(broken) || union(broken)) problems.push(`${name}: a word passes for a number`);
    checked += 1;
  }
}

const { document, diagnostics } = await new Parser().parse(readFileSync(join(schemas, "asyncapi.json"), "utf8"));
say("asyncapi.json", diagnostics.filter(({ severity }) => severity <= 1));
if (document === undefined) problems.push("asyncapi.json: cannot be read");
else if (document.operations().filterByReceive().length < 2) problems.push("asyncapi.json: nobody receives");

problems.forEach((problem) => console.error(problem));
console.log(`${checked} messages and the AsyncAPI document checked, ${problems.length} problems`);
process.exitCode = problems.length === 0 && checked > 0 ? 0 : 1;
