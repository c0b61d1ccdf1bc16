# Calls one function of a file: `-c ADAPTER FILE NAME`, keyword arguments as a JSON object on standard input. Standard output gets
# one line, {"result": …} or {"error": {"type": …, "message": …}}, and nothing else: whatever the function prints, and each
# traceback, goes to standard error.
import sys

# The working directory, which -c puts there before Python 3.11: what the agent wrote would be imported.
sys.path[:] = [folder for folder in sys.path if folder]

import importlib.util
import inspect
import json
import os
import re
import traceback

MODULE = "agentrc_function"
MESSAGE = 4096


def called(file, name, arguments):
    spec = importlib.util.spec_from_file_location(MODULE, file)
    module = importlib.util.module_from_spec(spec)
    # Data classes and pickles look for the module by its name.
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    result = getattr(module, name)(**arguments)
    if inspect.iscoroutine(result):
        import asyncio

        result = asyncio.run(result)
    return result


def text(of):
    try:
        words = str(of)
    except BaseException:
        words = ""
    # An address is another one each time, and nobody's business.
    words = re.sub(r" at 0x[0-9a-fA-F]+", "", words)
    words = words.encode("utf-8", "backslashreplace").decode("utf-8")
    return words if len(words) <= MESSAGE else words[:MESSAGE] + "…"


def line(member, value):
    # Written whole before a byte of it leaves; JSON has no NaN.
    return (json.dumps({member: value}, allow_nan=False) + "\n").encode("ascii")


def main():
    file, name = sys.argv[1:3]
    # Children do not inherit it, and print(), os.write(1, …) and programs that are started do not reach it.
    to = os.dup(1)
    os.dup2(2, 1)
    given = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [file]
    try:
        out = line("result", called(file, name, json.loads(given)))
    except BaseException as error:
        try:
            traceback.print_exc()
        except BaseException:
            pass
        out = line("error", {"type": text(type(error).__name__), "message": text(error)})
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    while out:
        out = out[os.write(to, out) :]
    # What it left running, threads and what waits for the end of the program, does not count any more.
    os._exit(0)


main()
