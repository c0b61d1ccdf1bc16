# A client of the broker with nothing between it and the socket, for what no library sends.
import json, os, socket, sys

class Broker:
    def __init__(self, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect('/agentrc/broker.sock')
        self.read = b''
        self.number = 0
        if hello:
            self.ask('initialize', {'protocolVersion': '2025-11-25', 'capabilities': {}, 'clientInfo': {'name': 't', 'version': '1'}})
            self.send({'jsonrpc': '2.0', 'method': 'notifications/initialized'})

    def send(self, message):
        self.raw(json.dumps(message).encode() + b'\n')

    def raw(self, data):
        self.socket.sendall(data)

    def hear(self):
        while b'\n' not in self.read:
            more = self.socket.recv(65536)
            if not more: return None
            self.read += more
        line, self.read = self.read.split(b'\n', 1)
        return json.loads(line)

    def ask(self, method, params=None):
        self.number += 1
        self.send({'jsonrpc': '2.0', 'id': self.number, 'method': method, **({} if params is None else {'params': params})})
        while True:
            answer = self.hear()
            if answer is None or answer.get('id') == self.number: return answer

    # `ok TEXT`, `error TEXT`, `refused TEXT`, or the JSON-RPC error.
    def call(self, name, **arguments):
        answer = self.ask('tools/call', {'name': name, 'arguments': arguments})
        if answer is None: return 'closed'
        if 'error' in answer: return 'wrong %s %s' % (answer['error']['code'], answer['error']['message'])
        result = answer['result']
        text = '\n'.join(part.get('text', '') for part in result['content'])
        if not result.get('isError'): return 'ok ' + text
        return ('refused ' if result.get('_meta', {}).get('io.agentrc/refused') else 'error ') + text

def say(*words): print(*words, flush=True)

# Waits until the test says so: a line on the script's standard input.
def wait():
    while os.read(3, 1) not in (b'\n', b''): pass
