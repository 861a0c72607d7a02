// @module-tag matrix
/**
 * Every row of `memory-rows.ts` is measured in the heap of a server process while clients do their worst, and charged at least
 * 0.8 of what it takes.
 */
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { HeldName } from '../../../src/http/limits/memory-rows.ts';
import { envelope, mirrored } from '../../kit/modern.ts';
import { until } from '../../kit/until.ts';
import { rawRequest } from '../../security/aborts.ts';
import { Caller } from '../../security/processes/caller.ts';
import type { Measured, SmallHeap } from '../../security/processes/small-heap.ts';
import { deafConnection, startSmallHeap, times } from '../../security/small-heap.ts';

const LIMITS = {
  memoryBytes: 2 ** 40,
  userShare: 1,
  stateBytes: 2 ** 20,
  requests: 10_000,
  sessions: 10_000,
};

/** One client, and the process that serves it. */
class RowServer {
  readonly process: SmallHeap;
  readonly #idle: Socket[] = [];
  #id = 1_000;

  constructor(process: SmallHeap) {
    this.process = process;
  }

  get port(): number {
    return this.process.port;
  }

  /** Waits until this row has more than this, and does not change any more. */
  async settled(row: HeldName, above: number): Promise<void> {
    let [before, same] = [-1, 0];
    const isSame = async (): Promise<boolean> => {
      const { rows } = await this.process.ask('rows');
      same = rows[row] === before && before > above ? same + 1 : 0;
      before = rows[row] ?? 0;
      return same === 8;
    };
    await until(isSame, { pollMs: 25, what: `a row ${row} that is settled` });
  }

  async open(capabilities: object = {}): Promise<Caller> {
    const caller = new Caller(this.port);
    const { sessionId, text } = await caller.initialize(capabilities);
    if (sessionId === undefined) throw new Error(`no session: ${text}`);
    caller.sessionId = sessionId;
    await caller.post('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    return caller;
  }

  /** Opens connections, so that `deaf` takes no memory for one. */
  async connect(count: number): Promise<void> {
    this.#idle.push(...(await times(count, 8, () => deafConnection(this.port, ''))));
  }

  async call(caller: Caller, name: string, args: object): Promise<void> {
    const { status, text } = await caller.rpc('tools/call', { name, arguments: args });
    if (status !== 200 || text.includes('"error"'))
      throw new Error(`${name}: ${status} ${text.slice(0, 300)}`);
  }

  /** A GET stream on one of the opened connections. */
  stream({ sessionId = '' }: Caller, headers: Record<string, string>): void {
    this.#idle
      .pop()
      ?.write(rawRequest('GET', { 'mcp-session-id': sessionId, ...VERSION, ...headers }));
  }

  /** Calls on one connection, whose client reads nothing. */
  async deaf(
    { sessionId = '' }: Caller,
    ...calls: Array<
      readonly [name: string, args: object, headers?: Record<string, string> | undefined]
    >
  ): Promise<void> {
    const socket = this.#idle.pop();
    const posts = calls.map(([name, args, headers]) =>
      rawCall(sessionId, name, args, ++this.#id, headers),
    );
    if (socket === undefined) await deafConnection(this.port, posts.join(''));
    else socket.write(posts.join(''));
  }
}

interface Shape {
  readonly kind?: 'stalls' | 'idles';
  readonly options?: object;
  /** Runs before the first measure, and its result is given to `fill`. */
  readonly open?: (server: RowServer) => Promise<readonly Caller[]>;
  readonly fill: (server: RowServer, callers: readonly Caller[]) => Promise<unknown>;
  /** What this one takes is not counted: a plain session is bounded by `limits.sessions`. */
  readonly beyond?: Shape;
}

const VERSION = { 'mcp-protocol-version': '2025-11-25' };

function rawCall(
  sessionId: string,
  name: string,
  args: object,
  id: number,
  headers: Record<string, string> = {},
): string {
  const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } };
  return rawRequest('POST', { 'mcp-session-id': sessionId, ...VERSION, ...headers }, message);
}

const sessions =
  (count: number, capabilities: object = {}) =>
  (server: RowServer): Promise<Caller[]> =>
    times(count, 4, () => server.open(capabilities));

const everyCaller =
  (work: (server: RowServer, caller: Caller, n: number) => Promise<unknown>): Shape['fill'] =>
  (server, callers) =>
    times(callers.length, 8, (n) => work(server, callers[n] as Caller, n));

const many = <T>(count: number, one: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => one(n));
const DAY_MS = 86_400_000;
const LATIN = 'x';
const WIDE = `ж${'x'.repeat(7)}`;

// ——— bodies ———

const bodies = (
  args: (n: number) => object,
  each: number,
  headers?: Record<string, string>,
): Shape => ({
  open: async (server) => {
    const callers = await sessions(16)(server);
    await server.connect(16 * each);
    return callers;
  },
  fill: everyCaller((server, caller, at) =>
    times(each, each, (n) =>
      server.deaf(caller, ['wait', { ms: DAY_MS, ...args(at * each + n) }, headers] as const),
    ),
  ),
});

const MANY_FIELDS = Object.fromEntries(many(900, (n) => [n.toString(36), 'x']));

/** So many sessions that the fields of their user are counted. */
const streams: Shape = {
  open: async (server) => {
    await server.connect(400);
    return sessions(400)(server);
  },
  fill: everyCaller(async (server, caller) => server.stream(caller, MANY_FIELDS)),
};

// ——— answers ———

const answers = (calls: number, args: object): Shape => ({
  open: sessions(12),
  options: { eventRetention: false },
  fill: everyCaller((server, caller) =>
    server.deaf(caller, ...Array.from({ length: calls }, () => ['say', args] as const)),
  ),
});

// ——— questions ———

const questions = (text: string): Shape => ({
  open: sessions(48, { elicitation: { form: {} } }),
  options: { responseMode: 'json', retryMs: 60_000 },
  fill: everyCaller((server, caller) => server.call(caller, 'askAll', { count: 16, text })),
});

// ——— hibernated ———

const hibernated = (state?: object): Shape => ({
  kind: 'idles',
  options: { hibernateAfterMs: 60_000 },
  fill: async (server) => {
    const caller = new Caller(server.port);
    for (let n = 0; n < (state === undefined ? 800 : 60); n++) {
      caller.sessionId = undefined;
      await caller.open();
      if (state !== undefined) await server.call(caller, 'keepAll', state);
    }
    await server.process.ask('idle');
  },
});

// ——— events ———

const events = (count: number, text: string): Shape => ({
  kind: 'stalls',
  open: sessions(8),
  options: { maxWaitMs: 600_000 },
  fill: async (server, callers) => {
    await server.process.ask('stall');
    await everyCaller((_, caller) => server.deaf(caller, ['send', { count, text }]))(
      server,
      callers,
    );
  },
});

// ——— outcomes ———

const outcomes = (each: number, args: object): Shape => ({
  kind: 'stalls',
  open: sessions(8),
  fill: async (server, callers) => {
    await server.process.ask('stall');
    const pay = everyCaller((_, caller) =>
      times(each, 4, (n) => server.call(caller, 'pay', { key: `${n}`, ...args })),
    );
    await pay(server, callers);
  },
});

// ——— tasks ———

const DECLARED = { extensions: { 'io.modelcontextprotocol/tasks': {} }, elicitation: { form: {} } };

async function modern(
  caller: Caller,
  method: string,
  of: object,
): Promise<Record<string, unknown>> {
  const params = { ...of, _meta: envelope(DECLARED) };
  const headers = mirrored(method, params) as Record<string, string>;
  const { status, text } = await caller.rpc(method, params, headers);
  const json = /\{.*\}/s.exec(text)?.[0];
  if (status !== 200 || json === undefined || text.includes('"error"'))
    throw new Error(`${method}: ${status} ${text.slice(0, 300)}`);
  return (JSON.parse(json) as { result: Record<string, unknown> }).result;
}

/** A task that runs on, once the client has answered its question if it has one. */
async function runOn(caller: Caller, name: string, args: object): Promise<void> {
  const { taskId } = await modern(caller, 'tools/call', { name, arguments: args });
  if (name !== 'continue') return;
  const isAsking = async () =>
    (await modern(caller, 'tasks/get', { taskId }))['status'] === 'input_required';
  await until(isAsking, { what: 'its question' });
  await modern(caller, 'tasks/update', { taskId, inputResponses: { sure: { action: 'accept' } } });
}

const tasks = (each: number, name: string, args: object): Shape => ({
  options: { tasks: true },
  fill: (server) => {
    const caller = new Caller(server.port);
    return times(each, 8, () => runOn(caller, name, args));
  },
});

// ——— live sessions ———

let opened = 0;
/** `#` is the number of the session: no two have the same text. */
const numbered = (params: object): object => {
  const number = String((opened += 1)).padStart(4, '0');
  return JSON.parse(JSON.stringify(params).replaceAll('#', number)) as object;
};
const handshake = (capabilities: object, name = 'client'): object => ({
  protocolVersion: '2025-11-25',
  capabilities,
  clientInfo: { name, version: '1' },
});
const keys = (count: number, value: unknown): object =>
  Object.fromEntries(many(count, (n) => [`k${n}x#`, value]));

const PLAIN = handshake({});

/** Sessions that begin with this handshake. `also`: what each does besides. */
const live = (
  params: object,
  also?: (server: RowServer, caller: Caller) => Promise<unknown>,
): Shape => ({
  ...((params !== PLAIN || also !== undefined) && { beyond: live(PLAIN) }),
  fill: async (server) => {
    const caller = new Caller(server.port);
    for (let n = 0; n < 60; n++) {
      caller.sessionId = undefined;
      const { sessionId, text } = await caller.rpc('initialize', numbered(params));
      if (sessionId === undefined) throw new Error(`no session: ${text.slice(0, 300)}`);
      caller.sessionId = sessionId;
      await also?.(server, caller);
    }
  },
});

const keeping = (state: object): Shape =>
  live(PLAIN, (server, caller) => server.call(caller, 'keepAll', state));

const subscribed = (count: number, path: string): Shape =>
  live(PLAIN, async (_, caller) => {
    for (let n = 0; n < count; n++) {
      const { text } = await caller.rpc(
        'resources/subscribe',
        numbered({ uri: `file:///#/${path}${n}` }),
      );
      if (text.includes('"error"')) throw new Error(text.slice(0, 300));
    }
  });

const SHAPES = {
  requests: {
    'many small calls': bodies(() => ({}), 25),
    'many header fields': bodies(() => ({}), 25, MANY_FIELDS),
    'many header fields of streams': streams,
    'bodies with wide characters': bodies((n) => ({ text: `${n}${WIDE.repeat(60_000)}` }), 3),
    'small results of once() that are not stored': outcomes(300, {}),
    'long results of once()': outcomes(8, { count: 200_000, text: LATIN }),
    'results of once() with wide characters': outcomes(8, { count: 10_000, text: WIDE }),
    'small later runs of tasks': tasks(45, 'continue', {}),
    'later runs of long calls': tasks(12, 'continue', { text: WIDE.repeat(15_000) }),
    'later runs of calls with many keys': tasks(
      8,
      'continue',
      Object.fromEntries(Array.from({ length: 12_000 }, (_, n) => [`key${n}`, n])),
    ),
    'state of tasks with wide characters': tasks(12, 'remember', {
      count: 12,
      text: WIDE.repeat(8_000),
    }),
    'many small values of the state of tasks': tasks(12, 'remember', { count: 990 }),
    'questions of tasks': tasks(12, 'remember', { count: 8, text: WIDE.repeat(2_500), asks: true }),
    'many small questions of tasks': tasks(12, 'remember', { count: 99, asks: true }),
  },
  answers: {
    'one long text': answers(1, { count: 5_000_000, text: LATIN }),
    'one text with wide characters': answers(1, { count: 500_000, text: WIDE }),
    'small questions without a stream': questions(''),
    'questions with wide characters': questions(WIDE.repeat(3_000)),
    'many small events that the store has not taken': events(1_500, ''),
    'events with wide characters': events(20, WIDE.repeat(6_000)),
  },
  sessions: {
    'plain hibernated sessions': hibernated(),
    'hibernated sessions with one long text of state': hibernated({ text: LATIN.repeat(100_000) }),
    'handshakes with one long name': live(handshake({}, `#${'n'.repeat(15_000)}`)),
    'handshakes with wide characters': live(
      handshake({ experimental: { x: { y: `#${'ж'.repeat(7_000)}` } } }),
    ),
    'handshakes with as many keys as they may have': live(
      handshake({ experimental: keys(250, {}) }),
    ),
    'handshakes with nested objects': live(
      handshake({ experimental: keys(60, { a: { b: { c: {} } } }) }),
    ),
    'handshakes with empty objects in an array': live(
      handshake({ experimental: { '#': { y: many(480, () => ({})) } } }),
    ),
    'handshakes with numbers in an array': live(
      handshake({ experimental: { '#': { y: many(7_000, () => 1) } } }),
    ),
    'handshakes with short texts in an array': live(
      handshake({ experimental: { '#': { y: many(2_500, (n) => n.toString(36)) } } }),
    ),
    'state of one long text': keeping({ text: LATIN.repeat(200_000) }),
    'state of one long text with a wide character': keeping({ text: `ж${LATIN.repeat(200_000)}` }),
    'state of many short values': keeping({ count: 200 }),
    'subscriptions to short URIs': subscribed(60, ''),
    'subscriptions to long URIs': subscribed(50, LATIN.repeat(1_000)),
  },
} satisfies Readonly<Record<HeldName, Readonly<Record<string, Shape>>>>;

const HELD = ['requests', 'answers', 'sessions'] as const satisfies readonly HeldName[];

/** Growth of the heap while the clients do this for a second time, and of what is charged in all rows. */
async function held(
  row: HeldName,
  shape: Shape,
): Promise<{ taken: number; charged: number; own: number }> {
  const { kind = 'runs', options = {} } = shape;
  const server = new RowServer(await startSmallHeap({ ...options, kind, limits: LIMITS }));
  const callers = (await shape.open?.(server)) ?? [];
  const half = callers.length / 2;
  await shape.fill(server, callers.slice(0, half));
  await server.settled(row, 0);
  const before = await server.process.measure();
  await shape.fill(server, callers.slice(half));
  const own = (measured: Measured, of: HeldName = row): number => measured.rows[of] ?? 0;
  await server.settled(row, own(before));
  const after = await server.process.measure();
  const charged = HELD.reduce((sum, of) => sum + own(after, of) - own(before, of), 0);
  const plain =
    shape.beyond === undefined ? { taken: 0, charged: 0 } : await held(row, shape.beyond);
  return {
    taken: after.heapBytes - before.heapBytes - plain.taken,
    charged: charged - plain.charged,
    own: own(after) - own(before),
  };
}

/** A charge may be this much below what is measured. */
const PART = 0.8;

const all = Object.entries(SHAPES).flatMap(([row, shapes]) =>
  Object.entries(shapes).map(([name, shape]) => [row as HeldName, name, shape] as const),
);

test.each(all)(
  '%s: %s are charged no less than they take',
  { timeout: 120_000 },
  async (row, name, shape) => {
    const { taken, charged, own } = await held(row, shape);
    console.log(
      `${row}, ${name}: takes ${Math.round(taken / 1_024)} KiB, is charged ${(charged / taken).toFixed(2)} of that`,
    );
    expect(own).toBeGreaterThan(0);
    expect(charged / taken).toBeGreaterThan(PART);
  },
);
