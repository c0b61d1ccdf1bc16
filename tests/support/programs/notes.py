# A server with the official SDK: resources, prompts, and tools that ask whoever calls them.
from mcp.server.mcpserver import MCPServer, Context
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer('notes')

@server.resource('memo://public/a')
def public() -> str:
    'A public memo.'
    return 'public a'

@server.resource('memo://secret/b')
def secret() -> str:
    'A secret memo.'
    return 'secret b'

@server.resource('memo://public/{name}')
def any_public(name: str) -> str:
    'Any public memo.'
    return 'public ' + name

@server.resource('memo://secret/{name}')
def any_secret(name: str) -> str:
    'Any secret memo.'
    return 'secret ' + name

@server.prompt()
def summary(of: str) -> str:
    'Sums up.'
    return 'Sum up ' + of

@server.prompt()
def hidden() -> str:
    'Not for the agent.'
    return 'hidden'

class Name(BaseModel):
    name: str

@server.tool()
async def greet(ctx: Context) -> str:
    'Greets by name.'
    given = await ctx.elicit('Who are you?', Name)
    return 'hello ' + given.data.name if given.action == 'accept' else given.action

@server.tool()
async def think(ctx: Context) -> str:
    'Has a model think.'
    said = await ctx.session.create_message([SamplingMessage(role='user', content=TextContent(type='text', text='think'))], max_tokens=10, related_request_id=ctx.request_id)
    return 'the model: ' + said.content.text

server.run()
