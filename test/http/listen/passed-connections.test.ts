/** What a process does with a connection that belongs to a sibling. The siblings of `test/cli` are real. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { PassedConnections, type Siblings } from '../../../src/http/listen/passed-connections.ts';
import { listening } from '../../kit/listening.ts';
import { without } from '../../kit/without.ts';

const SILENT_MS = 50;

/** A process whose sibling 2 takes nothing. `passed`: what it was to take. */
async function serving(live: readonly string[] = []) {
  const passed: string[] = [];
  const siblings: Siblings = {
    of: (id) => (id.startsWith('two') ? 2 : undefined),
    pass: (to, bytes) => {
      passed.push(`${to} ${bytes.length}`);
      return Promise.resolve(false);
    },
    receiveWith: () => undefined,
  };
  const server = createServer((req, res) => void req.resume().on('end', () => res.end('here')));
  const connections = new PassedConnections(server, siblings, new Set(live), SILENT_MS);
  const origin = new URL(await listening(server));
  const open = (text: string) => {
    const socket = connect(Number(origin.port), origin.hostname).setEncoding('utf8');
    onTestFinished(() => void socket.destroy());
    socket.write(text);
    return socket;
  };
  return { connections, passed, open };
}

const request = (id: string, more = ''): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nMCP-Session-ID:\t${id} \r\nContent-Length: 4\r\n\r\nbody${more}`;
const WHOLE = request('two').length;
const IN_BODY = '\r\nmcp-session-id: two\r\n'.slice(0, 21);

test.each<[what: string, text: string, passed: string[]]>([
  ['the session of a sibling', request('two'), [`2 ${WHOLE}`]],
  ['the same, with a part of the next request', request('two', 'GET'), [`2 ${WHOLE + 3}`]],
  ['its own session', request('one'), []],
  ['a session that is live here', request('two-here'), []],
  ['no session', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', []],
  ['an id in its body', request('one').replace('4', '25') + IN_BODY, []],
])(
  'a connection that names %s is passed as it should, and served where it stays',
  async (_, text, expected) => {
    const { passed, open } = await serving(['two-here']);
    const socket = open(text);
    const next = text.endsWith('GET') ? ' / HTTP/1.1\r\nHost: x\r\n\r\n' : request('two');
    for (const more of [next, '']) {
      const [answer] = (await once(socket, 'data')) as [string];
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*here/);
      socket.write(more);
    }
    expect(passed).toEqual(expected);
  },
);

test('a connection that sends nothing is closed after its time, or with the server', async () => {
  const { connections, open } = await serving();
  await once(open(''), 'close');
  const silent = open('');
  await once(silent, 'connect');
  connections.closeUnread();
  await once(silent, 'close');
});

test.each(['has stopped', 'hides its handle, as another version of Node.js may'])(
  'a server that %s receives none',
  (what) => {
    const server = createServer();
    const given = what === 'has stopped' ? server : without(server.listen(0), '_handle');
    onTestFinished(() => void server.close());
    const siblings: Siblings = {
      of: () => undefined,
      pass: () => Promise.resolve(false),
      receiveWith: () => undefined,
    };
    const connections = new PassedConnections(given, siblings, new Set(), SILENT_MS);
    expect(connections.receive(Buffer.from(''), {})).toBe(false);
  },
);
