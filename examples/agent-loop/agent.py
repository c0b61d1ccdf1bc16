"""A loop of model and tools: it asks the model, does what that asks for, and tells it what came of it, until it answers.

Nothing here decides what the model may do. The broker does, so that a loop with a fault, or a model that was talked
into something, gets the same answer.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, "/sdk")
from mcp import Client, MCPError, StdioServerParameters  # noqa: E402

BROKER = StdioServerParameters(command="/agentrc/bin/mcp")
# A model that never ends is ended.
TURNS = 30


def ask(url, messages, tools):
    """The model's next message."""
    body = json.dumps({"model": "scripted", "messages": messages, "tools": tools}).encode()
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]


def described(tool):
    """A tool of MCP as the chat API has it, whose names have no dots."""
    return {
        "type": "function",
        "function": {
            "name": tool.name.replace(".", "__"),
            "description": tool.description or "",
            "parameters": tool.input_schema,
        },
    }


async def perform(client, name, arguments):
    """What came of a call: `ok`, `refused` or `failed`, and the words for the model."""
    try:
        # However long a person looks at it.
        result = await client.call_tool(name, json.loads(arguments))
    except (MCPError, ValueError) as error:
        return "failed", str(error)
    text = "\n".join(getattr(part, "text", part.type) for part in result.content)
    if not result.is_error:
        return "ok", text
    return ("refused" if (result.meta or {}).get("io.agentrc/refused") else "failed"), text


async def main(url):
    messages = [
        {"role": "system", "content": Path("/agentrc/SOP").read_text()},
        {"role": "user", "content": "Answer the letters."},
    ]
    async with Client(BROKER) as client:
        listed = (await client.list_tools()).tools
        names = {tool.name.replace(".", "__"): tool.name for tool in listed}
        tools = [described(tool) for tool in listed]
        print(f"tools: {' '.join(sorted(names.values()))}", flush=True)
        for _ in range(TURNS):
            try:
                message = await asyncio.to_thread(ask, url, messages, tools)
            except urllib.error.HTTPError as error:
                print(f"the model says {error.code}: {error.read().decode()}", file=sys.stderr)
                return 1
            except OSError as error:
                print(f"the model does not answer: {error}", file=sys.stderr)
                return 1
            messages.append(message)
            if not message.get("tool_calls"):
                Path("/answers/report.md").write_text(message["content"])
                print("the report is written", flush=True)
                return 0
            for call in message["tool_calls"]:
                asked = call["function"]
                # A name that the model made up is the broker's to refuse, too.
                name = names.get(asked["name"]) or asked["name"].replace("__", ".")
                outcome, text = await perform(client, name, asked["arguments"])
                shown = "" if outcome == "ok" else f": {text.strip()}"
                print(f"{outcome}: {name} {asked['arguments']}{shown}", flush=True)
                content = text if outcome == "ok" else f"{outcome}: {text}"
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    print(f"no answer after {TURNS} turns", file=sys.stderr)
    return 1


sys.exit(asyncio.run(main(sys.argv[1])))
