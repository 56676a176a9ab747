"""One question through the providers' own clients and what is built on them, each wrapped by one line, without a key.

A provider from a script answers (`protege_clients.testing`). With a key, leave `http_client` out: the rest stays.

    python examples/clients/clients.py [HOME]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import protege
from google import genai
from protege_clients import step
from protege_clients.testing import ScriptedProvider

SYSTEM = "You are a Clerk. Say which team takes the message. Answer with one word."
QUESTION = "My invoice is wrong."
PROVIDER = ScriptedProvider({QUESTION: "billing"})


def in_openai(**wrapped: Any) -> str:
    """OpenAI's client, with Responses: `store=False` lets a specialist answer them."""
    http = httpx.Client(transport=httpx.MockTransport(PROVIDER))
    client = protege.wrap(openai.OpenAI(api_key="none", http_client=http), **wrapped)
    return client.responses.create(model="gpt-4.1", instructions=SYSTEM, input=QUESTION, store=False).output_text


def in_anthropic(**wrapped: Any) -> str:
    """Anthropic's client, streamed."""
    http = httpx2.Client(transport=httpx2.MockTransport(PROVIDER))
    client = protege.wrap(anthropic.Anthropic(api_key="none", http_client=http), **wrapped)
    asked: Any = [{"role": "user", "content": QUESTION}]
    with client.messages.stream(model="claude-sonnet-4-6", max_tokens=99, system=SYSTEM, messages=asked) as stream:
        return stream.get_final_text()


def in_google_genai(**wrapped: Any) -> str:
    """Google's client."""
    http: Any = {"httpx_client": httpx2.Client(transport=httpx2.MockTransport(PROVIDER))}
    client = protege.wrap(genai.Client(api_key="none", http_options=http), **wrapped)
    config: Any = {"system_instruction": SYSTEM}
    return str(client.models.generate_content(model="gemini-2.5-flash", contents=QUESTION, config=config).text)


def in_pydantic_ai(**wrapped: Any) -> str:
    """Pydantic AI, on OpenAI's asynchronous client."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    http = httpx.AsyncClient(transport=httpx.MockTransport(PROVIDER))
    client = protege.wrap(openai.AsyncOpenAI(api_key="none", http_client=http), **wrapped)
    agent = Agent(OpenAIChatModel("gpt-4.1", provider=OpenAIProvider(openai_client=client)), system_prompt=SYSTEM)
    return asyncio.run(agent.run(QUESTION)).output


def in_smolagents(**wrapped: Any) -> str:
    """smolagents, on OpenAI's client."""
    from smolagents import OpenAIServerModel

    model: Any = OpenAIServerModel("gpt-4.1", api_key="none")
    http = httpx.Client(transport=httpx.MockTransport(PROVIDER))
    model.client = protege.wrap(openai.OpenAI(api_key="none", http_client=http), **wrapped)
    said = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in
            (("system", SYSTEM), ("user", QUESTION))]  # fmt: skip
    return model.generate(said).content


ASK: Mapping[str, Any] = {
    "openai": in_openai,
    "anthropic": in_anthropic,
    "google-genai": in_google_genai,
    "Pydantic AI": in_pydantic_ai,
    "smolagents": in_smolagents,
}


def main(home: Path) -> None:
    with step("desk", run="example"):
        for name, ask in ASK.items():
            print(f"{name}: {ask(home=home)}")
    workspace = protege.Workspace(home)
    protege.drain(workspace)
    print(f"{sum(1 for _ in workspace.calls())} calls are recorded in {home}.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".protege-clients"))
