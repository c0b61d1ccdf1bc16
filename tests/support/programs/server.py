import json, os, socket, sys
def reply(m, r): print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'result': r}), flush=True)
DESCRIPTION = 'Does what the test wants.'
TOOLS = [{'name': 'act', 'description': DESCRIPTION, 'inputSchema': {'type': 'object', 'properties': {'path': {'type': 'string'}, 'n': {'type': 'integer'}}}}]
for line in sys.stdin:
    m = json.loads(line)
    if 'id' not in m or 'method' not in m: continue
    if m['method'] == 'initialize':
        reply(m, {'protocolVersion': m['params']['protocolVersion'], 'capabilities': {'tools': {}}, 'serverInfo': {'name': 't', 'version': '1'}})
    elif m['method'] == 'tools/list': reply(m, {'tools': TOOLS})
    elif m['method'] == 'tools/call':
        a, r = m['params']['arguments'], {'content': [{'type': 'text', 'text': 'done'}]}
        pass # MARK
        reply(m, r)
