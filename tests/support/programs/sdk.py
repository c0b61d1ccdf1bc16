# The official Python SDK as a client of the broker: at a URL, or over the stdio transport of a program, in both revisions of the protocol
# that it speaks: with a handshake (2025-11-25) and without one (2026-07-28).
import asyncio, sys
from mcp import Client, StdioServerParameters

async def main(where, mode):
    server = where if where.startswith('http://') else StdioServerParameters(command=where)
    async with Client(server, mode=mode) as client:
        tools = await client.list_tools()
        print(mode, [tool.name for tool in tools.tools], flush=True)
        read = next(tool for tool in tools.tools if tool.name == 'file_read')
        print(read.annotations.read_only_hint, read.input_schema['required'], flush=True)
        time = await client.call_tool('current_time', {})
        print(time.is_error, sorted(time.structured_content), flush=True)
        read = await client.call_tool('file_read', {'path': '/work/a'})
        print(read if read.is_error else read.structured_content['content'], flush=True)
        refused = await client.call_tool('file_read', {'path': '/etc/hostname'})
        print(refused.is_error, refused.meta, flush=True)
        both = await asyncio.gather(*[client.call_tool('current_time', {}) for _ in range(40)])
        print(sum(not one.is_error for one in both), flush=True)

for mode in ('legacy', '2026-07-28'):
    asyncio.run(main(sys.argv[1], mode))
