/** What a worker does with a connection that belongs to another one. Those of `passed-connections.test.ts` are real. */
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WorkerIds } from '../../src/base/worker-ids.ts';
import { PassedConnections } from '../../src/cli/passed-connections.ts';
import type { Message, MessageOf } from '../../src/cli/worker-role.ts';
import { listening } from '../kit/listening.ts';
import { until } from '../kit/until.ts';
import { without } from '../kit/without.ts';

const SILENT_MS = 50;

/** Worker 1 of 2, whose supervisor is awake and takes no connection. `passed`: what it was to take. */
function worker() {
  const passed: string[] = [];
  const orders = new EventEmitter();
  const report = ({ sojourn }: Message): void => {
    if (sojourn === 'wake') orders.emit('awake');
  };
  const pass = ({ to, bytes }: MessageOf<'pass'>): Promise<boolean> => {
    passed.push(`${to} ${bytes.length}`);
    return Promise.resolve(false);
  };
  return { number: 1, orders, report, pass, passed };
}

async function serving(live: readonly string[] = []) {
  const own = worker();
  const { passed } = own;
  const server = createServer((req, res) => void req.resume().on('end', () => res.end('here')));
  const connections = new PassedConnections(own, 2, server, new Set(live), SILENT_MS);
  const origin = new URL(await listening(server));
  const open = (text: string) => {
    const socket = connect(Number(origin.port), origin.hostname).setEncoding('utf8');
    onTestFinished(() => void socket.destroy());
    socket.write(text);
    return socket;
  };
  return { connections, passed, open };
}

/** The id of a session that worker `number` has opened. */
function idOf(number: number, random = 'a'.repeat(22)): string {
  const ids = new WorkerIds();
  ids.name(number);
  return ids.of(random);
}
const [ONE, TWO, TWO_HERE] = [idOf(1), idOf(2), idOf(2, 'b'.repeat(22))];

const request = (id: string, more = ''): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nMCP-Session-ID:\t${id} \r\nContent-Length: 4\r\n\r\nbody${more}`;
const WHOLE = request(TWO).length;
const IN_BODY = `\r\nmcp-session-id: ${TWO}`;

test.each<[what: string, text: string, passed: string[]]>([
  ['the session of another worker', request(TWO), [`2 ${WHOLE}`]],
  ['the same, with a part of the next request', request(TWO, 'GET'), [`2 ${WHOLE + 3}`]],
  ['its own session', request(ONE), []],
  ['a session that is live here', request(TWO_HERE), []],
  ['no session', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', []],
  [
    'an id in its body',
    request(ONE).replace('Length: 4', `Length: ${4 + IN_BODY.length}`) + IN_BODY,
    [],
  ],
])(
  'a connection that names %s is passed as it should, and served where it stays',
  async (_, text, expected) => {
    const { passed, open } = await serving([TWO_HERE]);
    const socket = open(text);
    const next = text.endsWith('GET') ? ' / HTTP/1.1\r\nHost: x\r\n\r\n' : request(TWO);
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
  async (what) => {
    const server = createServer();
    const given = what === 'has stopped' ? server : without(server.listen(0), '_handle');
    onTestFinished(() => void server.close());
    const own = worker();
    let isClosed = false;
    new PassedConnections(own, 2, given, new Set(), SILENT_MS);
    own.orders.emit('passed', { bytes: Buffer.from('') }, { close: () => (isClosed = true) });
    await until(() => isClosed);
    // Any other worker may serve it.
    expect(own.passed).toEqual(['undefined 0']);
  },
);
