// Ollama's JavaScript client.
import {
  ANSWER, HELLO, PERSON, SUNNY, WEATHER, WEATHER_TOOL, has, holds, need, person, plan, raises, run, same, several,
  vector,
} from "./kit.mjs";

const { Ollama } = need("ollama");
const client = new Ollama({ host: plan.url });
const { model } = plan;
const hello = [{ role: "user", content: HELLO }];
const tools = [{ type: "function", function: WEATHER_TOOL }];
class ResponseError extends Error {}
const names = async () => (await client.list()).models.map((entry) => entry.model);

await run({
  async list() {
    has(await names(), `${model}:latest`);
    has(await names(), plan.seeing);
    const shown = await client.show({ model });
    has(shown.capabilities, "tools");
    holds(shown.model_info, "no model_info");
    has((await client.ps()).models.map((entry) => entry.model), plan.seeing);
    holds(/^\d+\.\d+\.\d+$/.test((await client.version()).version), "no bare version");
  },
  async chat() {
    const reply = await client.chat({ model, messages: hello, options: { temperature: 0 } });
    has(reply.message.content, ANSWER);
    holds(reply.eval_count > 0 && reply.total_duration > 0, "no counts");
    if (!plan.local) return;
    const messages = [{ role: "user", content: plan.local.question }];
    const told = await client.chat({ model: plan.local.model, messages, options: { temperature: 0 } });
    same(told.message.content, plan.local.answer);
  },
  async stream() {
    const parts = await client.chat({ model, messages: hello, stream: true });
    has(await several(parts, (part) => part.message.content), ANSWER);
  },
  async tools() {
    const messages = [{ role: "user", content: WEATHER }];
    const called = [];
    for await (const part of await client.chat({ model, messages, tools, stream: true })) {
      called.push(...(part.message.tool_calls ?? []).map((call) => call.function.name));
    }
    same(called, ["get_weather"]);
    const { message } = await client.chat({ model, messages, tools });
    same(message.tool_calls.map((call) => call.function.arguments), [{ city: WEATHER }]);
    messages.push(message, { role: "tool", tool_name: "get_weather", content: SUNNY });
    has((await client.chat({ model, messages, tools })).message.content, SUNNY);
  },
  async schema() {
    person((await client.chat({ model, messages: hello, format: PERSON })).message.content);
  },
  async thinking() {
    const { message } = await client.chat({ model: plan.thinking, messages: hello, think: true });
    has(message.thinking, "thinks");
    has(message.content, ANSWER);
  },
  async vision() {
    const messages = [{ role: "user", content: HELLO, images: [plan.pixel] }];
    has((await client.chat({ model, messages })).message.content, "(1 images)");
  },
  async embed() {
    vector((await client.embed({ model: plan.embedding, input: "hello" })).embeddings[0]);
    vector((await client.embeddings({ model: plan.embedding, prompt: "hello" })).embedding);
    if (!plan.encoder) return;
    const made = await client.embed({ model: plan.encoder, input: ["hello", "good day"] });
    same(made.embeddings.map((row) => row.length), [384, 384]);
  },
  async complete() {
    has((await client.generate({ model, prompt: HELLO })).response, ANSWER);
    const parts = await client.generate({ model: plan.coding, prompt: HELLO, suffix: "end", stream: true });
    has(await several(parts, (part) => part.response), ANSWER);
  },
  async manage() {
    const told = [];
    for await (const part of await client.pull({ model, stream: true })) told.push(part.status);
    same(told.at(-1), "success");
    same((await client.create({ model: "pirate", from: model, system: "Talk like a pirate." })).status, "success");
    has((await client.chat({ model: "pirate", messages: hello })).message.content, ANSWER);
    same((await client.copy({ source: "pirate", destination: "corsair" })).status, "success");
    has(await names(), "corsair:latest");
    for (const name of ["pirate", "corsair"]) same((await client.delete({ model: name })).status, "success");
    same((await raises(ResponseError, () => client.delete({ model: "pirate" }))).status_code, 404);
  },
  async error() {
    const missing = await raises(ResponseError, () => client.chat({ model: plan.missing, messages: hello }));
    same([missing.status_code, missing.error], [404, `model '${plan.missing}' not found`]);
    const mute = await raises(ResponseError, () => client.chat({ model: plan.embedding, messages: hello }));
    same(mute.status_code, 400);
  },
  async cut() {
    await raises(Error, async () => {
      for await (const _ of await client.chat({ model: plan.broken, messages: hello, stream: true }));
    });
  },
});
