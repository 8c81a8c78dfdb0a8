// OpenAI's JavaScript client: chat completions, completions, embeddings, models.
import {
  ANSWER, HELLO, PERSON, PICTURE, SUNNY, WEATHER, WEATHER_TOOL, has, holds, need, person, plan, raises, run, same,
  several, vector,
} from "./kit.mjs";

const { OpenAI } = need("openai");
const client = new OpenAI({ baseURL: `${plan.url}/v1`, apiKey: "none", maxRetries: 0, timeout: 30_000 });
const hello = [{ role: "user", content: HELLO }];
const tools = [{ type: "function", function: WEATHER_TOOL }];
const ask = (fields = {}) => client.chat.completions.create({ model: plan.model, messages: hello, ...fields });
const text = (reply) => reply.choices[0].message.content;

await run({
  async list() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    has(names, plan.model);
    has(names, plan.seeing);
    same((await client.models.retrieve(plan.model)).id, plan.model);
  },
  async chat() {
    const reply = await ask({ max_completion_tokens: 50, temperature: 0 });
    has(text(reply), ANSWER);
    holds(reply.usage.completion_tokens > 0, "no usage");
    if (!plan.local) return;
    const messages = [{ role: "user", content: plan.local.question }];
    same(text(await ask({ model: plan.local.model, messages, temperature: 0 })), plan.local.answer);
  },
  async stream() {
    const chunks = await ask({ stream: true, stream_options: { include_usage: true } });
    has(await several(chunks, (chunk) => chunk.choices[0]?.delta.content), ANSWER);
  },
  async tools() {
    const messages = [{ role: "user", content: WEATHER }];
    const streamed = await client.chat.completions.stream({ model: plan.model, messages, tools }).finalMessage();
    same(streamed.tool_calls.map((call) => call.function.name), ["get_weather"]);
    const { message } = (await ask({ messages, tools })).choices[0];
    const [call] = message.tool_calls;
    same(JSON.parse(call.function.arguments), { city: WEATHER });
    messages.push(message, { role: "tool", tool_call_id: call.id, content: SUNNY });
    has(text(await ask({ messages, tools })), SUNNY);
  },
  async schema() {
    const json_schema = { name: "person", strict: true, schema: PERSON };
    person(text(await ask({ response_format: { type: "json_schema", json_schema } })));
  },
  async thinking() {
    const { message } = (await ask({ model: plan.thinking, reasoning_effort: "high" })).choices[0];
    has(message.reasoning_content, "thinks");
    has(message.content, ANSWER);
  },
  async vision() {
    const content = [{ type: "text", text: HELLO }, { type: "image_url", image_url: { url: PICTURE } }];
    has(text(await ask({ messages: [{ role: "user", content }] })), "(1 images)");
  },
  async embed() {
    vector((await client.embeddings.create({ model: plan.embedding, input: "hello" })).data[0].embedding);
    if (!plan.encoder) return;
    const made = await client.embeddings.create({ model: plan.encoder, input: ["hello", "good day"] });
    same(made.data.map((row) => row.embedding.length), [384, 384]);
  },
  async complete() {
    const asked = { model: plan.coding, prompt: HELLO };
    has((await client.completions.create(asked)).choices[0].text, ANSWER);
    const pieces = await client.completions.create({ ...asked, suffix: "end", stream: true });
    has(await several(pieces, (piece) => piece.choices[0]?.text), ANSWER);
  },
  async error() {
    has((await raises(OpenAI.NotFoundError, () => ask({ model: plan.missing }))).message, plan.missing);
    same((await raises(OpenAI.BadRequestError, () => ask({ temperature: 9 }))).param, "temperature");
  },
  async cut() {
    await raises(OpenAI.APIError, async () => {
      for await (const _ of await ask({ model: plan.broken, stream: true }));
    });
  },
});
