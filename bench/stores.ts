/**
 * The cost of a store without HTTP: its operations, one after the other and many in one turn, in this process. A row
 * shows one operation's share: its latency, CPU of this process and of the server, and bytes sent or written by the
 * server.
 */
import { randomBytes } from 'node:crypto';
import type { StoredRecord } from '../src/stores/store.ts';
import type { View } from '../test/store-contract/view.ts';
import { percentile } from './statistics.ts';
import type { StoreKind } from './store-servers.ts';
import { openViews, type Counters, type StoreViews } from './store-views.ts';
import { formatTable } from './table.ts';

export interface StoresOptions {
  /** Operations of each kind. */
  readonly operations: number;
  /** Idle sessions whose size is reported. */
  readonly hibernated: number;
  readonly synchronous: 'normal' | 'full';
  /** Parts to run; empty means all. */
  readonly only: readonly string[];
}

interface StoreRow {
  readonly title: string;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly meanUs: number;
  readonly cpuUs: number;
  readonly serverUs: number | undefined;
  readonly counted: Counters;
}

interface Sizes {
  readonly sessions: number;
  readonly bytesPerSession: number;
  readonly secondsToMake: number;
  /** Bytes that answer and request of a logged call add; the call's result has `RESULT.length` bytes. */
  readonly bytesPerCall: number;
  readonly rssBytes: number;
}

export interface StoresReport {
  readonly store: StoreKind;
  readonly node: string;
  readonly operations: number;
  readonly rows: readonly StoreRow[];
  readonly sizes: Sizes | undefined;
}

const FENCE = { epoch: 1, owner: 'abcdefghijkl' };
const NEXT = { ...FENCE, epoch: 2 };
const RESULT = JSON.stringify({
  jsonrpc: '2.0',
  id: 17,
  result: { content: [{ type: 'text', text: 'hello world' }], structuredContent: { echoed: 'hello world' } },
});
const CALL = JSON.stringify([{ id: 17, method: 'tools/call', params: { name: 'echo', arguments: { text: 'hello' } } }]);
const DAY_MS = 86_400_000;
/** Sessions that operations use in turn. */
const SPREAD = 64;
const TOGETHER = 16;

const idOf = (n: number): string => `s${String(n).padStart(21, '0')}`;

function recordOf(id: string, owner: string | null = FENCE.owner): StoredRecord {
  const now = Date.now();
  return {
    v: 1,
    id,
    epoch: 1,
    owner,
    user: null,
    head: '2025-11-25 ig - t.0123456789ab',
    body: JSON.stringify({
      protocolVersion: '2025-11-25',
      capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } },
      clientInfo: { name: 'a client', version: '1.2.3', title: 'A client with a title' },
    }),
    fields: {},
    createdAt: now,
    stamp: now,
    expiresAt: null,
    dueAt: null,
    rung: 0,
  };
}

/** Fails when the operation was refused, because then nothing was measured. */
async function done(outcome: unknown): Promise<void> {
  const got = await outcome;
  const refused = ['fenced', 'gone', 'exists', undefined].includes(got as string | undefined);
  if (refused || (got as { claimed?: boolean }).claimed === false) throw new Error(`refused: ${JSON.stringify(got)}`);
}

/** Starts operation `n`. */
type Operation = (n: number) => unknown;

class Meter {
  readonly rows: StoreRow[] = [];
  readonly #views: StoreViews;
  readonly #operations: number;
  readonly #progress: (text: string) => void;

  constructor(views: StoreViews, operations: number, progress: (text: string) => void) {
    this.#views = views;
    this.#operations = operations;
    this.#progress = progress;
  }

  /** One caller that awaits each answer, or `together` operations in one turn. A tenth as many warm up first. */
  async measure(title: string, run: Operation, { together = 1, most = this.#operations } = {}): Promise<void> {
    this.#progress(title);
    const turns = Math.max(1, Math.ceil(Math.min(this.#operations, most) / together));
    const warmUp = Math.ceil(turns / 10);
    const turn = async (t: number): Promise<void> => {
      if (together === 1) await run(t);
      else await Promise.all(Array.from({ length: together }, (_, i) => run(t * together + i)));
    };
    for (let t = 0; t < warmUp; t++) await turn(t);
    const counters = await this.#views.counters();
    const serverUs = this.#views.serverUs();
    const us: number[] = [];
    const [cpu, began] = [process.cpuUsage(), performance.now()];
    for (let t = 0; t < turns; t++) {
      const before = performance.now();
      await turn(warmUp + t);
      us.push(((performance.now() - before) * 1000) / together);
    }
    const [wallUs, used] = [(performance.now() - began) * 1000, process.cpuUsage(cpu)];
    const usedByServer = serverUs === undefined ? undefined : (this.#views.serverUs() ?? 0) - serverUs;
    const after = await this.#views.counters();
    us.sort((a, b) => a - b);
    const each = (total: number): number => total / turns / together;
    this.rows.push({
      title,
      p50Us: percentile(us, 0.5),
      p99Us: percentile(us, 0.99),
      meanUs: each(wallUs),
      cpuUs: each(used.user + used.system),
      serverUs: usedByServer === undefined ? undefined : each(usedByServer),
      counted: Object.fromEntries(Object.entries(after).map(([name, n]) => [name, each(n - (counters[name] ?? 0))])),
    });
  }

  /** Measures one at a time and many together. */
  async both(title: string, run: Operation): Promise<void> {
    await this.measure(title, run);
    await this.measure(`… ${TOGETHER} in one turn, each`, (n) => run(n + 1_000_000), { together: TOGETHER });
  }
}

async function measureRecords(meter: Meter, view: View): Promise<void> {
  const { records } = view;
  for (let n = 0; n < SPREAD; n++) await records.create(recordOf(idOf(n)), DAY_MS);
  const id = (n: number): string => idOf(n % SPREAD);
  await meter.both('read a record', (n) => done(records.read(id(n))));
  await meter.both('save a record (compare-and-set)', (n) => done(records.save(id(n), FENCE, { stamp: n })));
  const cart = (n: number): { fields: { cart: string } } => ({ fields: { cart: `${n}` } });
  await meter.both('save one key of session.fields', (n) => done(records.save(id(n), FENCE, cart(n))));
}

async function measureLives(meter: Meter, { records }: View): Promise<void> {
  const id = (n: number): string => idOf(SPREAD + n);
  await meter.both('create a session', (n) => done(records.create(recordOf(id(n)), DAY_MS)));
  await meter.both('claim a session of a dead owner', (n) => done(records.claim(id(n), FENCE, FENCE.owner)));
  await meter.both('release a session', (n) => done(records.save(id(n), NEXT, { release: true })));
  await meter.both('end a session', (n) => done(records.end(id(n), { epoch: 2, owner: null }, 'deleted')));
}

async function measureLog(meter: Meter, { records }: View): Promise<void> {
  for (let n = 0; n < SPREAD; n++) await records.create(recordOf(idOf(n)), DAY_MS);
  // Streams are numbered within their session.
  const streams = Array.from({ length: SPREAD }, () => 0);
  const next = (session: number): string => `p1x${(streams[session] = (streams[session] ?? 0) + 1).toString(36)}`;
  const call = (session: number): Promise<void> => {
    const place = { id: idOf(session), fence: FENCE, stream: next(session) };
    return done(records.append({ ...place, from: 0, events: ['', RESULT], complete: true }));
  };
  const marked = async (n: number): Promise<void> => {
    const stream = next(n % SPREAD);
    const place = { id: idOf(n % SPREAD), fence: FENCE, stream };
    const mark = { name: `"${stream}"`, stream };
    await done(records.append({ ...place, from: 0, events: [''], note: CALL, mark }));
    await done(records.append({ ...place, from: 1, events: [RESULT], complete: true, unmark: mark }));
  };
  await meter.both('log a whole call (one append), one session', () => call(0));
  await meter.both(`log a whole call, ${SPREAD} sessions`, (n) => call(n % SPREAD));
  await meter.measure('… 64 in one turn, each', (n) => call(n % SPREAD), { together: 64 });
  await meter.both('log a call and its marker (two appends)', marked);
  const last = (n: number): string => `p1x${(streams[n % SPREAD] ?? 0).toString(36)}`;
  const replay = (n: number): Promise<void> => done(records.replay(idOf(n % SPREAD), last(n), -1));
  await meter.measure('replay the last call of a full log', replay, { most: 500 });
}

async function measureMailbox(meter: Meter, one: View, other: View): Promise<void> {
  const answered = new Map<unknown, () => void>();
  await one.instances.announce({ id: 'one', state: 'serving', version: '1' }, (_, message) => {
    const { n } = message as { n?: unknown };
    answered.get(n)?.();
    answered.delete(n);
  });
  await other.instances.announce({ id: 'other', state: 'serving', version: '1' }, (from, message) => {
    void other.instances.send('other', from, message);
  });
  const ask = (n: number, body: string): Promise<void> => {
    const answer = new Promise<void>((resolve) => answered.set(n, resolve));
    void one.instances.send('one', 'other', { kind: 'call', n, body });
    return answer;
  };
  await meter.both('message to another instance and its answer', (n) => ask(n, RESULT));
  const large = 'x'.repeat(2_000_000);
  await meter.measure('… of 2 MB', (n) => ask(n, large), { most: 50 });
  await meter.measure('check whether an owner lives', () => done(one.instances.read('other')));
  await meter.measure('renew a lease', () => done(one.instances.renew('one', 'serving')));
}

const LOGGED = 100;
const CALLS = 100;

async function measureSizes(meter: Meter, views: StoreViews, count: number): Promise<Sizes> {
  // The view is closed before the file is measured: SQLite's log is in the file then.
  const onView = async <T>(run: (view: View) => Promise<T>): Promise<T> => {
    const view = await views.open('sizes');
    try {
      return await run(view);
    } finally {
      await view.close();
    }
  };
  await onView(async () => undefined);
  const empty = await views.heldBytes();
  const began = performance.now();
  const ids: string[] = [];
  await onView(async ({ records }) => {
    for (let n = 0; n < count; n += 100) {
      const some = Array.from({ length: Math.min(100, count - n) }, () => randomBytes(16).toString('base64url'));
      await Promise.all(some.map(async (id) => done(records.create(recordOf(id, null)))));
      ids.push(...some);
    }
  });
  const secondsToMake = (performance.now() - began) / 1000;
  const made = await views.heldBytes();
  const rssBytes = process.memoryUsage().rss;

  const logged = Array.from({ length: LOGGED }, (_, n) => idOf(n));
  await onView(async ({ records }) => {
    for (const id of logged) await done(records.create(recordOf(id), DAY_MS));
  });
  const before = await views.heldBytes();
  await onView(async ({ records }) => {
    for (let n = 0; n < CALLS; n++) {
      const append = { fence: FENCE, stream: `p1x${n.toString(36)}`, from: 0, events: ['', RESULT], complete: true };
      await Promise.all(logged.map(async (id) => done(records.append({ ...append, id }))));
    }
  });
  const bytesPerCall = ((await views.heldBytes()) - before) / CALLS / LOGGED;

  await onView(async ({ records }) => {
    const few = { most: 50 };
    await meter.measure('list 100 of them', () => done(records.list(100)), few);
    await meter.measure('look for expired ones, none is', () => done(records.due(100)), few);
    await meter.measure(`trim logs of ${CALLS * LOGGED} calls, none is old`, () => records.trim(), few);
    const spread = (n: number): string => ids[(n * 7_919) % count] ?? '';
    const claims = { most: Math.floor(count * 0.8) };
    await meter.measure('claim one of them', (n) => done(records.claim(spread(n), FENCE, FENCE.owner)), claims);
  });
  return { sessions: count, bytesPerSession: (made - empty) / count, secondsToMake, bytesPerCall, rssBytes };
}

export async function measureStores(
  store: StoreKind,
  { operations, hibernated, synchronous, only }: StoresOptions,
  progress: (text: string) => void,
): Promise<StoresReport> {
  const views = await openViews(store, { synchronous });
  const meter = new Meter(views, operations, progress);
  const wanted = (part: string): boolean => only.length === 0 || only.includes(part);
  const onView = async (name: string, run: (view: View) => Promise<void>): Promise<void> => {
    if (!wanted(name)) return;
    const view = await views.open(name);
    await run(view);
    await view.close();
  };
  try {
    // Measured while the store is new, because the other measurements leave data behind.
    const sizes = wanted('sizes') ? await measureSizes(meter, views, hibernated) : undefined;
    await onView('records', (view) => measureRecords(meter, view));
    await onView('lives', (view) => measureLives(meter, view));
    await onView('log', (view) => measureLog(meter, view));
    await onView('mailbox', async (view) => {
      const other = await views.open('mailbox');
      await measureMailbox(meter, view, other);
      await other.close();
    });
    return { store, node: process.version, operations, rows: meter.rows, sizes };
  } finally {
    await views.close();
  }
}

const rounded = (n: number | undefined): string => {
  if (n === undefined) return '–';
  return n.toFixed(n < 9.95 ? 1 : 0);
};

export function formatStores({ store, node, operations, rows, sizes }: StoresReport): string {
  const counted = Object.keys(rows[0]?.counted ?? {});
  const lines = rows.map(({ title, ...row }) => {
    const times = [row.p50Us, row.p99Us, row.meanUs, row.cpuUs, row.serverUs].map(rounded);
    return [title, ...times, ...counted.map((name) => rounded(row.counted[name]))];
  });
  const head = [['µs', 'p50', 'p99', 'mean', 'CPU', 'server', ...counted]];
  const title = `The ${store} store by itself · Node ${node}, ${String(operations)} operations each`;
  const size =
    sizes === undefined
      ? ''
      : `\n\n  ${String(sizes.sessions)} idle sessions: ${rounded(sizes.bytesPerSession)} bytes each, made in ${sizes.secondsToMake.toFixed(1)} s; ` +
        `this process had ${(sizes.rssBytes / 1e6).toFixed(0)} MB\n  a logged call with a result of ${String(RESULT.length)} bytes: ${rounded(sizes.bytesPerCall)} bytes`;
  return `${title}\n\n${formatTable([...head, ...lines])}${size}`;
}
