// What the JavaScript drivers share; the words are those of kit.py.
import { createRequire } from "node:module";
import { join } from "node:path";

export const plan = JSON.parse(process.env.CLIENT_PLAN);
export const need = createRequire(join(plan.home, "package.json"));
export const HELLO = "hello there";
export const ANSWER = `you said: ${HELLO}`;
export const PICTURE = `data:image/png;base64,${plan.pixel}`;
export const WEATHER = "What is the weather in Rome?";
export const SUNNY = "sunny, 21 degrees";
export const WEATHER_TOOL = {
  name: "get_weather", description: "The weather in a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
export const PERSON = {
  type: "object", properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"], additionalProperties: false,
};
const LONGEST_REASON = 300;

export function same(seen, wanted) {
  const [a, b] = [seen, wanted].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

export function has(seen, part) {
  if (!seen?.includes(part)) throw new Error(`${JSON.stringify(part)} is not in ${JSON.stringify(seen)}`);
}

export function holds(isSo, otherwise) {
  if (!isSo) throw new Error(otherwise);
}

// A stream's text, which must have come in more than one piece.
export async function several(stream, pick) {
  const said = [];
  for await (const part of stream) said.push(pick(part));
  const pieces = said.filter(Boolean);
  holds(pieces.length > 1, `came in ${pieces.length} pieces: ${JSON.stringify(pieces)}`);
  return pieces.join("");
}

export function person(text) {
  const read = JSON.parse(text);
  same([Object.keys(read), typeof read.name, Number.isInteger(read.age)], [["name", "age"], "string", true]);
}

// The node's vector of "hello".
export function vector(numbers) {
  same(numbers.length, plan.vector.length);
  holds(plan.vector.every((wanted, i) => Math.abs(wanted - numbers[i]) < 1e-6), `${numbers.slice(0, 3)}`);
}

// The error that the call must end with, of this class.
export async function raises(kind, call) {
  let got;
  try {
    got = await call();
  } catch (error) {
    if (error instanceof kind || error?.name === kind.name) return error;
    throw error;
  }
  throw new Error(`no error, but ${JSON.stringify(got)}`);
}

export async function run(features) {
  for (const name of plan.features) {
    let verdict = "pass";
    try {
      await features[name]();
    } catch (error) {
      console.error(error);
      verdict = `${error?.name}: ${error?.message}`;
    }
    console.log(JSON.stringify({ [name]: verdict.replace(/\s+/g, " ").slice(0, LONGEST_REASON) }));
  }
}
