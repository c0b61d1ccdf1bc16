#!/bin/sh
# What an agent's loop does, without a model: each line is a call of a tool, and one is refused.
cd /agentrc/tools || exit 1
# A memory is a tool, too.
memory() { /agentrc/bin/mcp call "memory.$1"; }
# They read arguments from standard input.
exec </dev/null
# Before anything was read: what a tool says is untrusted, and then changes no memory.
printf '{"key": "run", "value": {"text": "began"}}' | memory write || exit 1
./file_read /notes/today || exit 1
./count --path /notes/today || exit 1
./file_read /etc/passwd
echo "exit code $?"
printf '{"key": "run", "value": {"text": "what the note said"}}' | memory write
echo "exit code $?"
printf '{"key": "run"}' | memory read
