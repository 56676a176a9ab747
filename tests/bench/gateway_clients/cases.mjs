// The official clients of each API, pointed at one base URL: node cases.mjs BASE. Prints a JSON line for each case.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI, Type } from "@google/genai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { Ollama } from "ollama";
import OpenAI, { AzureOpenAI } from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const base = process.argv[2];
const only = process.argv[3];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const Queue = z.object({ queue: z.enum(["billing", "support"]) });
const queueSchema = {
  type: "object",
  properties: { queue: { type: "string", enum: ["billing", "support"] } },
  required: ["queue"],
  additionalProperties: false,
};
const hello = "Say hello.";
const failing = "error-429"; // what the server is asked, and how it behaves then
const slow = "slow";

function equal(got, wanted) {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(`${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}
async function fails(status, work) {
  try {
    await work();
  } catch (error) {
    const told = error.status ?? error.statusCode ?? error.status_code ?? error.lastError?.statusCode;
    return equal(told, status);
  }
  throw new Error("no error");
}
async function cancelled(work) {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 150);
  try {
    await work(abort.signal);
  } catch {
    return;
  }
  throw new Error("not cancelled");
}

const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "k", maxRetries: 0 });
const azure = new AzureOpenAI({ endpoint: base, apiKey: "k", apiVersion: "2024-10-21", deployment: "m", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: base, apiKey: "k", maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: base } });
const ollama = new Ollama({ host: base });
const asking = (content) => [{ role: "user", content }];
const messages = asking(hello);
const functionTool = { type: "function", function: { name: "weather", parameters } };

const chatCases = (client) => ({
  chat: async () => equal((await client.chat.completions.create({ model: "m", messages })).choices[0].message.content, "hello"),
  stream: async () => {
    let text = "";
    let usage;
    const stream = await client.chat.completions.create({ model: "m", messages, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    equal([text, usage.total_tokens > 0], ["hello", true]);
  },
  "stream helper": async () => {
    const final = await client.chat.completions.stream({ model: "m", messages }).finalChatCompletion();
    equal([final.choices[0].message.content, final.choices[0].finish_reason], ["hello", "stop"]);
  },
  tools: async () => {
    const answer = await client.chat.completions.create({ model: "m", messages, tools: [functionTool] });
    const call = answer.choices[0].message.tool_calls[0];
    equal([call.function.name, JSON.parse(call.function.arguments), answer.choices[0].finish_reason], ["weather", { city: "Oslo" }, "tool_calls"]);
  },
  "streamed tools": async () => {
    const final = await client.chat.completions.stream({ model: "m", messages, tools: [functionTool] }).finalChatCompletion();
    equal(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Oslo" });
  },
  structured: async () => {
    const response_format = { type: "json_schema", json_schema: { name: "queue", strict: true, schema: queueSchema } };
    const answer = await client.chat.completions.parse({ model: "m", messages, response_format });
    equal(JSON.parse(answer.choices[0].message.content), { queue: "billing" });
  },
  error: () => fails(429, () => client.chat.completions.create({ model: "m", messages: asking(failing) })),
  cancel: () => cancelled((signal) => client.chat.completions.create({ model: "m", messages: asking(slow) }, { signal })),
});

const cases = {
  openai: chatCases(openai),
  "openai responses": {
    chat: async () => equal((await openai.responses.create({ model: "m", input: hello, store: false })).output_text, "hello"),
    stream: async () => {
      const final = await openai.responses.stream({ model: "m", input: hello, store: false }).finalResponse();
      equal([final.output_text, final.status, final.usage.total_tokens > 0], ["hello", "completed", true]);
    },
    tools: async () => {
      const tools = [{ type: "function", name: "weather", parameters, strict: false }];
      const answer = await openai.responses.create({ model: "m", input: hello, tools, store: false });
      const call = answer.output.find((item) => item.type === "function_call");
      equal([call.name, JSON.parse(call.arguments)], ["weather", { city: "Oslo" }]);
    },
    "streamed tools": async () => {
      const tools = [{ type: "function", name: "weather", parameters, strict: false }];
      const final = await openai.responses.stream({ model: "m", input: hello, tools, store: false }).finalResponse();
      equal(JSON.parse(final.output.find((item) => item.type === "function_call").arguments), { city: "Oslo" });
    },
    structured: async () => {
      const answer = await openai.responses.parse({ model: "m", input: hello, store: false, text: { format: zodTextFormat(Queue, "queue") } });
      equal(answer.output_parsed, { queue: "billing" });
    },
    error: () => fails(429, () => openai.responses.create({ model: "m", input: failing, store: false })),
    cancel: () => cancelled((signal) => openai.responses.create({ model: "m", input: slow, store: false }, { signal })),
  },
  azure: chatCases(azure),
  anthropic: {
    chat: async () => {
      const answer = await anthropic.messages.create({ model: "m", max_tokens: 20, messages });
      equal([answer.content[0].text, answer.stop_reason], ["hello", "end_turn"]);
    },
    stream: async () => {
      const final = await anthropic.messages.stream({ model: "m", max_tokens: 20, messages }).finalMessage();
      equal([final.content[0].text, final.usage.output_tokens > 0], ["hello", true]);
    },
    tools: async () => {
      const tools = [{ name: "weather", input_schema: parameters }];
      const answer = await anthropic.messages.create({ model: "m", max_tokens: 20, messages, tools });
      const call = answer.content.find((block) => block.type === "tool_use");
      equal([call.name, call.input, answer.stop_reason], ["weather", { city: "Oslo" }, "tool_use"]);
    },
    "streamed tools": async () => {
      const tools = [{ name: "weather", input_schema: parameters }];
      const final = await anthropic.messages.stream({ model: "m", max_tokens: 20, messages, tools }).finalMessage();
      equal(final.content.find((block) => block.type === "tool_use").input, { city: "Oslo" });
    },
    structured: async () => {
      const tools = [{ name: "queue", input_schema: queueSchema }];
      const tool_choice = { type: "tool", name: "queue" };
      const answer = await anthropic.messages.create({ model: "m", max_tokens: 20, messages, tools, tool_choice });
      equal(answer.content[0].input, { queue: "billing" });
    },
    error: () => fails(429, () => anthropic.messages.create({ model: "m", max_tokens: 20, messages: asking(failing) })),
    cancel: () => cancelled((signal) => anthropic.messages.create({ model: "m", max_tokens: 20, messages: asking(slow) }, { signal })),
  },
  google: {
    chat: async () => equal((await google.models.generateContent({ model: "m", contents: hello })).text, "hello"),
    stream: async () => {
      let text = "";
      for await (const chunk of await google.models.generateContentStream({ model: "m", contents: hello })) text += chunk.text ?? "";
      equal(text, "hello");
    },
    tools: async () => {
      const declared = { name: "weather", parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } } } };
      const config = { tools: [{ functionDeclarations: [declared] }] };
      const answer = await google.models.generateContent({ model: "m", contents: hello, config });
      equal([answer.functionCalls[0].name, answer.functionCalls[0].args], ["weather", { city: "Oslo" }]);
    },
    structured: async () => {
      const responseSchema = { type: Type.OBJECT, properties: { queue: { type: Type.STRING, enum: ["billing", "support"] } } };
      const config = { responseMimeType: "application/json", responseSchema };
      equal(JSON.parse((await google.models.generateContent({ model: "m", contents: hello, config })).text), { queue: "billing" });
    },
    error: () => fails(429, () => google.models.generateContent({ model: "m", contents: failing })),
    cancel: () => cancelled((abortSignal) => google.models.generateContent({ model: "m", contents: slow, config: { abortSignal } })),
  },
  ollama: {
    chat: async () => equal((await ollama.chat({ model: "m", messages })).message.content, "hello"),
    stream: async () => {
      let text = "";
      for await (const part of await ollama.chat({ model: "m", messages, stream: true })) text += part.message.content;
      equal(text, "hello");
    },
    generate: async () => equal((await ollama.generate({ model: "m", prompt: hello })).response, "hello"),
    tools: async () => {
      const answer = await ollama.chat({ model: "m", messages, tools: [functionTool] });
      const { name, arguments: given } = answer.message.tool_calls[0].function;
      equal([name, given], ["weather", { city: "Oslo" }]);
    },
    structured: async () => {
      equal(JSON.parse((await ollama.chat({ model: "m", messages, format: queueSchema })).message.content), { queue: "billing" });
    },
    error: () => fails(429, () => ollama.chat({ model: "m", messages: asking(failing) })),
  },
};

const weather = tool({ description: "weather", inputSchema: z.object({ city: z.string() }), execute: async () => "rain" });
const vercel = {
  "ai openai chat": createOpenAI({ baseURL: `${base}/v1`, apiKey: "k" }).chat("m"),
  "ai openai": createOpenAI({ baseURL: `${base}/v1`, apiKey: "k" })("m"),
  "ai anthropic": createAnthropic({ baseURL: `${base}/v1`, apiKey: "k" })("m"),
  "ai google": createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey: "k" })("m"),
};
for (const [name, model] of Object.entries(vercel)) {
  const providerOptions = { openai: { store: false } };
  cases[name] = {
    chat: async () => equal((await generateText({ model, prompt: hello, maxOutputTokens: 20, providerOptions })).text, "hello"),
    stream: async () => {
      let text = "";
      for await (const part of streamText({ model, prompt: hello, providerOptions }).textStream) text += part;
      equal(text, "hello");
    },
    tools: async () => {
      const answer = await generateText({ model, prompt: hello, tools: { weather }, stopWhen: stepCountIs(2), providerOptions });
      equal([answer.steps[0].toolCalls[0].input, answer.text], [{ city: "Oslo" }, "it rains"]);
    },
    structured: async () => equal((await generateObject({ model, schema: Queue, prompt: hello, providerOptions })).object, { queue: "billing" }),
    error: () => fails(429, () => generateText({ model, prompt: failing, maxRetries: 0, providerOptions })),
  };
}

let failed = 0;
for (const [client, its] of Object.entries(cases)) {
  if (only && !client.startsWith(only)) continue;
  for (const [name, run] of Object.entries(its)) {
    try {
      await Promise.race([run(), new Promise((_, no) => setTimeout(() => no(new Error("no end")), 20000))]);
      console.log(JSON.stringify({ client, case: name, ok: true }));
    } catch (error) {
      failed += 1;
      console.log(JSON.stringify({ client, case: name, ok: false, why: String(error?.message ?? error).slice(0, 300) }));
    }
  }
}
process.exit(failed ? 1 : 0);
