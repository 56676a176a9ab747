// A help desk in TypeScript that knows nothing of Protégé: it is told three base URLs, as by its environment. Each ticket
// is sorted with the Vercel AI SDK, and answered by OpenAI's client or, every other one, by Anthropic's.
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText } from "ai";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [base, file] = process.argv.slice(2);
const desk: { triage: string; reply: string; tickets: string[] } = JSON.parse(readFileSync(file, "utf8"));
const sorter = createOpenAI({ baseURL: `${base}/v1`, apiKey: "none" }).chat("gpt-4.1");
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none" });
const anthropic = new Anthropic({ baseURL: base, apiKey: "none" });

async function reply(ticket: string, number: number): Promise<string> {
  const content = `Ticket: ${ticket}`;
  if (number % 2) {
    const messages = [{ role: "user" as const, content }];
    const answer = await anthropic.messages.create({ model: "claude-sonnet-4-6", max_tokens: 99, system: desk.reply, messages });
    return answer.content.map((block) => (block.type === "text" ? block.text : "")).join("");
  }
  const messages = [{ role: "system" as const, content: desk.reply }, { role: "user" as const, content }];
  return (await openai.chat.completions.create({ model: "gpt-4.1", messages })).choices[0].message.content ?? "";
}

async function handle(ticket: string, number: number): Promise<boolean> {
  const { text: team } = await generateText({ model: sorter, system: desk.triage, prompt: `Ticket: ${ticket}` });
  return (await reply(ticket, number)).includes(`The ${team} team`);
}

let right = 0;
const waiting = desk.tickets.entries();
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (const [number, ticket] of waiting) {
      const named = await handle(ticket, number);
      right += Number(named);
    }
  }),
);
console.log(`${desk.tickets.length} tickets handled, ${right} with the team that the reply names`);
