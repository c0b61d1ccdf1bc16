"""A loop over tasks, as an agent has one. The last two tasks are not in its Agentfile."""

import pathlib
import socket


def summarise(text):
    return f"{len(text.split())} words"


def leave_a_mark():
    pathlib.Path("/tasks.txt").write_text("nothing to do\n")
    return "changed the tasks"


def call_home():
    with socket.create_connection(("192.0.2.1", 443), timeout=5):
        return "connected"


ACTS = {"leave a mark": leave_a_mark, "call home": call_home}

log = pathlib.Path("log.txt").open("w")
for task in pathlib.Path("/tasks.txt").read_text().splitlines():
    try:
        result = ACTS[task]() if task in ACTS else summarise(task)
    except OSError:
        result = "denied"
    print(f"{task}: {result}", file=log)
    print(f"{task}: {result}")
