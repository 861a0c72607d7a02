/**
 * What it takes to create a task, to ask for one, and to run a call once, over loopback HTTP, one request at a time. All
 * requests take turns. The tasks that are asked for belong to another instance.
 */
import type { Runtime } from './runtimes.ts';
import { listedCalls, recordAnswer } from './requests.ts';
import { ServerProcess } from './server-process.ts';
import { percentile } from './statistics.ts';
import type { StoreKind } from './store-servers.ts';
import { callOf, createTasks, getOf, Repeated, startInstance } from './task-client.ts';

/** ms at the median. */
export interface TaskTimes {
  readonly operations: number;
  /** A round trip to the server of the store. */
  readonly roundTrip: number;
  readonly call: number;
  readonly created: StoredTimes;
  /** A call of `once()` with a new key. */
  readonly once: StoredTimes;
  /** On a session: a call of a tool that may not run twice, which has a marker, and `once()` in its place. */
  readonly marked: number;
  readonly onceOnSession: StoredTimes;
  /** Bare `node:http` with the bytes of an answer to `tasks/get`. */
  readonly bare: number;
  /** `tasks/get` with an id of another user, for which the store is not asked. */
  readonly foreign: number;
  readonly gets: readonly GetTimes[];
}

/** A call that is stored before it is answered. */
interface StoredTimes {
  readonly answer: number;
  /** The median of the differences to the ordinary call beside it. */
  readonly more: number;
  /** What the store takes to create the record. */
  readonly write: number;
  /** Most of `more`. */
  readonly mostMore: number | undefined;
}

interface GetTimes {
  readonly title: string;
  readonly get: number;
  /** The read of the record in it. */
  readonly read: number;
  /** The median of the differences between a request and its read. */
  readonly beyond: number;
  /** The median of the differences to the first task. */
  readonly more: number;
}

interface Note {
  readonly at: number;
  readonly ms: number;
}

/** Handlers of created tasks wait, so that none ends while others are created. They are released after so many. */
const CHUNK = 100;
const BODY = 'x'.repeat(200_000);
const SESSIONS = '2025-11-25';
const WORKING = '"status":"working"';

export async function measureTimes(
  runtime: Runtime,
  { kind, url }: { readonly kind: StoreKind; readonly url: string },
  operations: number,
  progress: (text: string) => void,
): Promise<TaskTimes> {
  const owner = await startInstance(runtime, url);
  const server = await startInstance(runtime, url, { notes: true });
  const kinds = [
    { title: 'a task', tool: 'hold', text: '' },
    { title: '… with 1 MiB of steps', tool: 'steps', text: '' },
    { title: '… with arguments of 200 kB', tool: 'hold', text: BODY },
  ];
  const requests: Repeated[] = [];
  const servers = [owner, server];
  const open = async (...given: Parameters<typeof Repeated.open>): Promise<Repeated> => {
    const request = await Repeated.open(...given);
    requests.push(request);
    return request;
  };
  try {
    const gets: Repeated[] = [];
    for (const { tool, text } of kinds) {
      const id = await createTasks(owner.port, tool, 1, text);
      gets.push(await open(getOf(server.port, id), WORKING));
    }
    const load = getOf(server.port, await createTasks(owner.port, 'hold', 1));
    const env = { BENCH_ANSWER: JSON.stringify(await recordAnswer(load)) };
    const plain = await ServerProcess.start(runtime, { script: 'bare.mjs', env });
    servers.push(plain);
    const bare = await open({ ...load, port: plain.port }, WORKING);
    const call = await open(callOf(server.port, 'echo', 'hello'), '"text":"hello"');
    const created = await open(callOf(server.port, 'hold'), '"resultType":"task"');
    const once = await open(callOf(server.port, 'once', 'hello'), '"text":"hello"');
    const marked = await open(await listedCalls(server.port, SESSIONS, 'echo'), '"text":"hello"');
    const onceOnSession = await open(await listedCalls(server.port, SESSIONS, 'once'), '"text":"hello"');
    const foreign = await open(getOf(server.port, `${'a'.repeat(16)}.${'b'.repeat(22)}`), '-32602');
    const turns = new Turns(server, { call, created, once, marked, onceOnSession, bare, foreign }, gets);
    await turns.run(CHUNK);
    turns.forget();
    for (let done = 0; done < operations; done += CHUNK) {
      progress(`tasks on ${kind}, ${String(done)} of ${String(operations)}`);
      await turns.run(Math.min(CHUNK, operations - done));
    }
    return timesOf(turns, kinds, kind, operations);
  } finally {
    for (const request of requests) request.close();
    await Promise.all(servers.map((each) => each.stop()));
  }
}

const PLAIN = ['call', 'created', 'once', 'marked', 'onceOnSession', 'bare', 'foreign'] as const;
type Plain = (typeof PLAIN)[number];

/** Each request in turn, and what the store took for it. Each turn has another order. */
class Turns {
  readonly roundTrip: number[] = [];
  readonly plain: Record<Plain, number[]> = {
    call: [],
    created: [],
    once: [],
    marked: [],
    onceOnSession: [],
    bare: [],
    foreign: [],
  };
  readonly write: number[] = [];
  readonly onceWrite: number[] = [];
  readonly get: number[][];
  readonly read: number[][];
  readonly #server: ServerProcess;
  readonly #steps: ReadonlyArray<() => Promise<void>>;
  /** The tasks that were read since the last notes. */
  #reads: number[] = [];

  constructor(server: ServerProcess, plain: Readonly<Record<Plain, Repeated>>, gets: readonly Repeated[]) {
    this.#server = server;
    this.get = gets.map(() => []);
    this.read = gets.map(() => []);
    const ask = async (): Promise<void> => void this.roundTrip.push(await server.ask<number>('roundTrip'));
    const sent = (request: Repeated, found: number[] | undefined): Promise<void> => timed(() => request.send(), found);
    this.#steps = [
      ask,
      ...PLAIN.map((name) => () => sent(plain[name], this.plain[name])),
      ...gets.map((request, n) => async () => {
        await sent(request, this.get[n]);
        this.#reads.push(n);
      }),
    ];
  }

  async run(count: number): Promise<void> {
    await this.#server.ask('notes');
    this.#reads = [];
    for (let turn = 0; turn < count; turn++) {
      // What a request leaves behind is the next one's.
      for (const step of shuffled(this.#steps)) await step();
    }
    const { create, read, onceCreate } =
      await this.#server.ask<Record<'create' | 'read' | 'onceCreate', Note[]>>('notes');
    if (create.length !== count || onceCreate.length !== 2 * count || read.length !== this.#reads.length)
      throw new Error(
        `${String(create.length)} tasks were stored and ${String(read.length)} read in ${String(count)} turns`,
      );
    this.write.push(...create.map(({ ms }) => ms));
    this.onceWrite.push(...onceCreate.map(({ ms }) => ms));
    read.forEach(({ ms }, n) => this.read[this.#reads[n] ?? 0]?.push(ms));
    await this.#server.ask('release');
  }

  forget(): void {
    for (const list of [
      this.roundTrip,
      this.write,
      this.onceWrite,
      ...Object.values(this.plain),
      ...this.get,
      ...this.read,
    ])
      list.length = 0;
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const places = items.map((item) => ({ item, at: Math.random() }));
  return places.toSorted((a, b) => a.at - b.at).map(({ item }) => item);
}

async function timed(run: () => Promise<unknown>, found: number[] | undefined): Promise<void> {
  const from = performance.now();
  await run();
  found?.push(performance.now() - from);
}

const median = (values: readonly number[]): number =>
  percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  );

/** Neighbours in time share what else the machine does. */
const difference = (of: readonly number[], less: readonly number[]): number =>
  median(of.map((ms, n) => ms - (less[n] ?? Number.NaN)));

function timesOf(
  { roundTrip, plain, write, onceWrite, get, read }: Turns,
  kinds: ReadonlyArray<{ readonly title: string }>,
  kind: StoreKind,
  operations: number,
): TaskTimes {
  const [first = []] = get;
  const trip = median(roundTrip);
  const goals: Partial<Record<StoreKind, number>> = { sqlite: 0.3, redis: 2 * trip + 0.2 };
  const onceGoals: Partial<Record<StoreKind, number>> = { sqlite: 0.15, redis: 0.4, postgres: 0.8 };
  const stored = (
    of: readonly number[],
    writes: readonly number[],
    mostMore: number | undefined,
    less = plain.call,
  ): StoredTimes => ({
    answer: median(of),
    more: difference(of, less),
    write: median(writes),
    mostMore,
  });
  return {
    operations,
    roundTrip: trip,
    call: median(plain.call),
    created: stored(plain.created, write, goals[kind]),
    once: stored(plain.once, onceWrite, onceGoals[kind]),
    marked: median(plain.marked),
    onceOnSession: stored(plain.onceOnSession, onceWrite, onceGoals[kind], plain.marked),
    bare: median(plain.bare),
    foreign: median(plain.foreign),
    gets: kinds.map(({ title }, n) => ({
      title,
      get: median(get[n] ?? []),
      read: median(read[n] ?? []),
      beyond: difference(get[n] ?? [], read[n] ?? []),
      more: difference(get[n] ?? [], first),
    })),
  };
}
