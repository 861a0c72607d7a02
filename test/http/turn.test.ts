/**
 * Requests of many connections in random runs: bodies in one piece and in many, pipelined, with other readers and
 * parsers in front, from clients that disconnect. Each is served once, in the context that middleware entered and in the
 * order of its connection, and its client gets its own answer alone.
 */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { getRequestListener } from '@hono/node-server';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { toolCall } from '../kit/lab.ts';
import { listening } from '../kit/listening.ts';
import { createLog } from '../kit/log.ts';
import { isMatrix } from '../kit/matrix.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';

type Listener = (req: IncomingMessage, res: ServerResponse) => void;

/** What is in front of the endpoint. */
const fronts = {
  node: ({ node }) => node,
  /** A parser that has read the body. */
  parsed:
    ({ node }) =>
    (req, res) =>
      void text(req).then(
        (json) => node(req, res, JSON.parse(json)),
        () => {},
      ),
  'another reader': ({ node }) => {
    return (req, res) => {
      req.on('data', () => {});
      node(req, res);
    };
  },
  'a later reader': ({ node }) => {
    return (req, res) => {
      node(req, res);
      req.on('data', () => {});
    };
  },
  fetch: ({ fetch }) =>
    getRequestListener((request) => fetch(request), { overrideGlobalObjects: false }),
} satisfies Record<string, (endpoint: McpEndpoint) => Listener>;

interface Plan {
  readonly front: keyof typeof fronts;
  readonly isPipelined: boolean;
  readonly requests: ReadonlyArray<{
    readonly padding: number;
    readonly isChunked: boolean;
    /** What is written at once. */
    readonly piece: 'all' | 'head' | 'bytes';
    /** Turns that its handler waits. */
    readonly waits: number;
  }>;
  /** The client disconnects in the middle of the last body, behind it, or when it has all answers. */
  readonly end: 'in the body' | 'behind it' | 'answered';
}

const plan: fc.Arbitrary<Plan> = fc.record({
  front: fc.constantFrom(...(Object.keys(fronts) as Array<keyof typeof fronts>)),
  isPipelined: fc.boolean(),
  requests: fc.array(
    fc.record({
      padding: fc.constantFrom(0, 0, 0, 3_000, 100_000),
      isChunked: fc.integer({ max: 4 }).map((n) => n === 0),
      piece: fc.constantFrom('all', 'all', 'head', 'bytes'),
      waits: fc.constantFrom(0, 0, 0, 1, 3),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  end: fc.constantFrom('in the body', 'behind it', 'answered', 'answered', 'answered'),
});

const context = new AsyncLocalStorage<string>();

/** The bytes of a request, in the pieces that are written one after another. */
function* piecesOf(plan: Plan, n: number, name: string): Generator<Buffer> {
  const { padding, isChunked, piece, waits } = plan.requests[n] as Plan['requests'][number];
  const body = Buffer.from(
    JSON.stringify(toolCall(name, 'look', { name, waits, padding: 'é'.repeat(padding) })),
  );
  const fields = [
    ['host', 'localhost'],
    ['content-type', 'application/json'],
    ['accept', 'application/json, text/event-stream'],
    ['x-name', name],
    ['x-front', plan.front],
    isChunked ? ['transfer-encoding', 'chunked'] : ['content-length', body.length],
  ].map(([field, value]) => `${field}: ${value}\r\n`);
  const head = Buffer.from(`POST /mcp HTTP/1.1\r\n${fields.join('')}\r\n`);
  const sent = isChunked
    ? Buffer.concat([
        Buffer.from(`${body.length.toString(16)}\r\n`),
        body,
        Buffer.from('\r\n0\r\n\r\n'),
      ])
    : body;
  if (piece === 'all') return yield Buffer.concat([head, sent]);
  yield head;
  if (piece === 'head') return yield sent;
  // The rest of a long body comes at once.
  for (let at = 0; at < 100; at += 1) yield sent.subarray(at, at + 1);
  yield sent.subarray(100);
}

/** The answers so far: their bodies, in order. */
class Answers {
  readonly got: string[] = [];
  #rest = Buffer.alloc(0);

  constructor(socket: Socket) {
    socket.on('data', (bytes) => {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      while (this.#take());
    });
  }

  #take(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = this.#rest.subarray(0, end).toString();
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
    assert.match(head, /^HTTP\/1.1 200 /);
    if (this.#rest.length < end + 4 + length) return false;
    this.got.push(this.#rest.subarray(end + 4, end + 4 + length).toString());
    this.#rest = this.#rest.subarray(end + 4 + length);
    return true;
  }
}

async function play(port: number, plan: Plan, connection: string): Promise<void> {
  const names = plan.requests.map((_, n) => `${connection}.${n}`);
  const socket = connect(port, '127.0.0.1').setNoDelay();
  const answers = new Answers(socket);
  socket.on('error', () => {});
  await once(socket, 'connect');
  for (const [n, name] of names.entries()) {
    const pieces = [...piecesOf(plan, n, name)];
    if (plan.end === 'in the body' && n === names.length - 1)
      pieces.push((pieces.pop() as Buffer).subarray(0, -10));
    for (const [at, piece] of pieces.entries()) {
      socket.write(piece);
      if (at % 8 === 0 && pieces.length > 1) await turns();
    }
    if (!plan.isPipelined && n < names.length - 1) await until(() => answers.got.length > n);
  }
  if (plan.end === 'answered') await until(() => answers.got.length === names.length);
  await turns(2);
  socket.destroy();
  const own = names.map((name) => ({
    jsonrpc: '2.0',
    id: name,
    result: said(`${name} in ${name}`),
  }));
  expect(answers.got.map((json) => JSON.parse(json))).toEqual(own.slice(0, answers.got.length));
}

const connections = promisify((http: Server, done: (cause: Error | null, count: number) => void) =>
  http.getConnections(done),
);

test('each request is served once, in its order and its context, and gets its own answer', async () => {
  let served: string[] = [];
  const log = createLog();
  const server = toolServer({
    look: async ({ name, waits }) => {
      served.push(String(name));
      await turns(Number(waits));
      return said(`${name} in ${context.getStore()}`);
    },
  });
  const endpoint = createMcpEndpoint(server, {
    sessionMode: 'stateless',
    responseMode: 'json',
    logger: log,
  });
  const listeners = Object.fromEntries(
    Object.entries(fronts).map(([name, open]) => [name, open(endpoint)]),
  );
  const http = createServer(({ headers }, res) => {
    const listener = listeners[String(headers['x-front'])] as Listener;
    context.run(String(headers['x-name']), () => listener(res.req, res));
  });
  const port = Number(new URL(await listening(http, () => endpoint.close({ timeoutMs: 0 }))).port);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 8 }), async (plans) => {
      served = [];
      run += 1;
      await Promise.all(plans.map((one, n) => play(port, one, `${run}.${n}`)));
      await until(async () => (await connections(http)) === 0);
      for (const [n, { requests, end }] of plans.entries()) {
        const names = requests.map((_, at) => `${run}.${n}.${at}`);
        const own = served.filter((name) => name.startsWith(`${run}.${n}.`));
        expect(own).toEqual(names.slice(0, own.length));
        if (end === 'answered') expect(own).toEqual(names);
      }
    }),
    { numRuns: isMatrix ? 500 : 30 },
  );
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
}, 120_000);
