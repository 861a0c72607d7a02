/**
 * Live objects in a world: clients of both eras call few handles at any instance, while instances crash, freeze, drain,
 * lose their lease and the store. No call begins more often than it may, no object answers once another one of its
 * handle is open, and no number of a state is given out twice. Handlers ask the client of a session and count in its
 * state, wherever they run.
 */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentSession, live, type LiveObject, type McpEndpointContext } from '../../src/index.ts';
import { MOST_RUNS } from '../../src/session/inbound/retries.ts';
import { said } from '../kit/tool-server.ts';
import { SimClient } from './client.ts';
import { NO_FAULTS } from './faults.ts';
import type { SimProcess } from './process.ts';
import { Random } from './random.ts';
import { playIn } from './scheduler.ts';
import { TaskClient } from './task-client.ts';
import { TaskLedger } from './task-ledger.ts';
import { brew, CLEAR, type Weather } from './weather.ts';
import { World, type WorldOptions } from './world.ts';

const SLOTS = 3;
const CLIENTS = 8;
/** The user of all handles. */
const USER = 'u';
const HANDLES = 4;
const ACTIVE_MS = 6_000;
const POLLED_MS = 20_000;
/** How long a client with a session tries to have a call accepted. */
const PATIENCE_MS = 2_000;
/** An answer that reaches an instance without the store may be lost. */
const ASKED_MS = 3_000;

const WEATHER: Weather = {
  ...CLEAR,
  crash: 0.5,
  freeze: 0.4,
  suspend: 0.2,
  cutOff: 0.4,
  outage: 0.15,
  drain: 0.4,
};
const FAULTS = {
  ...NO_FAULTS,
  store: [0.5, 8],
  storeFails: 0.02,
  storeReplyLost: 0.02,
  mailLost: 0.1,
  httpCut: 0.01,
} as const;

export interface LiveWorldOptions extends Partial<Pick<WorldOptions, 'changes'>> {
  readonly weather?: Partial<Weather>;
  readonly traced?: boolean;
  /** So many of its clients have a session. */
  readonly sessions?: number;
}

/** An object of a handle. */
interface Thing {
  readonly serial: number;
  readonly process: SimProcess;
  openedAt: number;
  handle: string;
  /** Or not open yet. */
  isClosed: boolean;
}

const inputSchema = z.object({
  thing: z.string().optional(),
  call: z.string(),
  ms: z.number(),
  /** The handler asks the client of its session. */
  asks: z.boolean().optional(),
});
type Args = z.infer<typeof inputSchema>;

/** `counted`: by the state of the session that called. */
interface Heard {
  readonly id: string;
  readonly serial: number;
  readonly n: number;
  readonly counted: string | undefined;
}

const QUESTION = {
  mode: 'form',
  requestedSchema: { type: 'object', properties: { answer: { type: 'string' } } },
} as const;

class Things {
  readonly world: World;
  readonly all: Thing[] = [];
  readonly #begun = new Map<string, number>();
  /** When the handler of a call was over, and with which object. */
  readonly #over = new Map<string, { readonly thing: Thing; readonly at: number }>();
  readonly #numbers = new Set<string>();
  readonly #asking = new Set<AbortController>();
  answered = 0;
  asked = 0;

  constructor(world: World) {
    this.world = world;
  }

  server(process: SimProcess, { serverOptions }: McpEndpointContext): McpServer {
    const server = new McpServer({ name: 'things', version: '1' }, serverOptions);
    for (const name of ['visit', 'peek'])
      server.registerTool(
        name,
        { inputSchema, annotations: { idempotentHint: name === 'peek' } },
        live(
          {
            kind: 'thing',
            id: ({ thing }) => thing,
            closeAfterMs: 1_000,
            open: async (state) => {
              const thing = this.#make(process);
              await state.get('n');
              thing.openedAt = this.world.now;
              thing.isClosed = false;
              return thing;
            },
            close: (thing) => void (thing.isClosed = true),
          },
          async (args, ctx, object) => this.#visit(process, args, ctx, object),
        ),
      );
    return server;
  }

  #make(process: SimProcess): Thing {
    const serial = this.all.length + 1;
    const thing = { serial, process, openedAt: Infinity, handle: '', isClosed: true };
    this.all.push(thing);
    return thing;
  }

  async #visit(
    process: SimProcess,
    { call, ms, asks = false }: Args,
    ctx: ServerContext,
    { object, handle }: LiveObject<Thing>,
  ) {
    object.handle = handle.id;
    const begun = (this.#begun.get(call) ?? 0) + 1;
    this.#begun.set(call, begun);
    const most = call.startsWith('peek') ? MOST_RUNS : 1;
    if (begun > most) this.world.wrong(`${call} began ${begun} times`);
    if (object.process !== process) this.world.wrong(`${call} has an object of another process`);
    const pause = (part: number): Promise<void> =>
      new Promise((over) => process.setTimeout(over, ms * part));
    if (ms > 0) await pause(0.5);
    let wroteAt = 0;
    const n = await handle.state.update('n', (before = 0) => {
      wroteAt = this.world.now;
      return before + 1;
    });
    this.#checkLater(call, 'wrote', object, wroteAt);
    if (asks) await this.#ask(process, call, ctx);
    const counted = await this.#count();
    if (ms > 0) await pause(0.5);
    this.#over.set(call, { thing: object, at: this.world.now });
    const value: Heard = { id: handle.id, serial: object.serial, n, counted };
    return { ...said(''), structuredContent: { value } };
  }

  async #ask(process: SimProcess, call: string, { mcpReq }: ServerContext): Promise<void> {
    const asking = new AbortController();
    this.#asking.add(asking);
    process.setTimeout(() => asking.abort(), ASKED_MS);
    const { signal } = asking;
    const { content } = await mcpReq.elicitInput({ ...QUESTION, message: call }, { signal });
    if (content?.['answer'] !== call) this.world.wrong(`${call} was answered ${String(content)}`);
    this.asked += 1;
  }

  async #count(): Promise<string | undefined> {
    const session = currentSession();
    if (session === undefined) return undefined;
    const n = await session.state.update('n', (before: number = 0) => before + 1);
    return `${session.id} ${n}`;
  }

  /** A client has this answer. */
  heard(call: string, { id, serial, n, counted }: Heard): void {
    this.answered += 1;
    for (const number of [`${id} ${n}`, counted ?? call]) {
      if (this.#numbers.has(number)) this.world.wrong(`${call}: ${number} was given out twice`);
      this.#numbers.add(number);
    }
    const over = this.#over.get(call);
    if (over?.thing.serial === serial) this.#checkLater(call, 'answered', over.thing, over.at);
  }

  #checkLater(call: string, did: string, { handle, serial }: Thing, at: number): void {
    const later = this.all.find(
      (thing) => thing.handle === handle && thing.serial > serial && thing.openedAt < at,
    );
    if (later !== undefined)
      this.world.wrong(`${call}: object ${serial} ${did} after ${later.serial} was open`);
  }

  /** The world is over, and with it the SDK's timers of questions that no client has answered. */
  end(): void {
    for (const asking of this.#asking) asking.abort();
  }

  /** Nothing goes wrong any more. */
  settled(handle: string): void {
    const open = this.all.filter(
      (thing) => thing.handle === handle && !thing.isClosed && thing.process.state === 'running',
    );
    if (open.length > 1) this.world.wrong(`${handle} has ${open.length} open objects at the end`);
  }
}

/** Calls, and tells what its call was answered with. `undefined`: an error, or no answer. */
type Calls = (name: string, args: Args, slot?: number) => Promise<Heard | undefined>;

/** A client of 2026-07-28. */
function modern(ledger: TaskLedger, random: Random, name: string): Calls {
  const client = new TaskClient(ledger, random, name);
  return async (tool, args, slot) => {
    const { result } = await client.post('tools/call', { name: tool, arguments: args }, slot);
    if (result?.['isError'] === true) return undefined;
    return (result?.['structuredContent'] as { value: Heard } | undefined)?.value;
  };
}

/** A client with a session, which resumes the streams of its calls. It leaves some of them, and cancels some. */
function withSession(world: World, random: Random, name: string): Calls {
  const client = new SimClient({ world, name, user: USER, random, version: '2025-11-25' });
  return async (tool, args, slot) => {
    if (client.gone) await client.open();
    const { ending } = await client.call(tool, {
      args: { ...args, asks: !world.healed && random.chance(0.2) },
      ...(!world.healed && random.chance(0.1) && { leaveAfter: random.between(1, 300) }),
      ...(!world.healed && random.chance(0.1) && { cancelAfter: random.between(1, 300) }),
      patience: PATIENCE_MS,
      ...(slot !== undefined && { slot }),
    });
    return ending?.kind === 'result' ? (ending.value as Heard) : undefined;
  };
}

export async function runLive(seed: number, options: LiveWorldOptions = {}) {
  const { weather = {}, traced = false, sessions = CLIENTS / 2, ...rest } = options;
  const random = new Random(seed);
  const world: World = new World({
    seed: random.int(2 ** 31),
    slots: SLOTS,
    endpoint: { maxWaitMs: seed % 4 === 0 ? 200 : undefined },
    faults: FAULTS,
    traced,
    serverOf: ({ process }, context) => things.server(process, context),
    ...rest,
  });
  const things = new Things(world);
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < SLOTS; slot++) void world.start(slot);
    world.activeUntil = ACTIVE_MS;
    brew(world, random.fork(), { ...WEATHER, ...weather });
    await play(things, random, sessions);
  };
  await playIn(world, begin);
  things.end();
  const { all, answered, asked } = things;
  return {
    violations: world.ledger.violations,
    counts: { opened: all.length, answered, asked },
    trace: world.trace ?? [],
  };
}

async function play(things: Things, random: Random, sessions: number): Promise<void> {
  const { world } = things;
  const ledger = new TaskLedger(world, random.fork(), [0, 1]);
  const handles: string[] = [];
  let count = 0;
  const call = async (calls: Calls, name: string, given: Omit<Args, 'call'>, slot?: number) => {
    const args = { ...given, call: `${name} ${(count += 1)}` };
    const heard = await calls(name, args, slot);
    if (heard !== undefined) things.heard(args.call, heard);
    return heard?.id;
  };
  const act = async (calls: Calls, own: Random): Promise<void> => {
    while (world.now < ACTIVE_MS) {
      await world.scheduler.sleep(own.between(1, 80));
      const ms = own.pick([0, 5, 50, 800]);
      const thing = handles.length < HANDLES ? undefined : own.pick(handles);
      const id = await call(calls, own.pick(['visit', 'peek']), { thing, ms });
      if (id !== undefined && !handles.includes(id)) handles.push(id);
    }
  };
  const clients = Array.from({ length: CLIENTS }, async (_, n) => {
    const own = random.fork();
    await act(n < sessions ? withSession(world, own, `s${n}`) : modern(ledger, own, `c${n}`), own);
  });
  await Promise.all(clients);
  world.healed = true;
  await world.heal();
  await world.scheduler.sleep(3 * world.leaseMs);
  const last = [modern(ledger, random.fork(), 'last'), withSession(world, random.fork(), 'lasts')];
  for (const thing of handles)
    for (const slot of world.slots.keys()) {
      for (const calls of last) {
        let id: string | undefined;
        for (const latest = world.now + POLLED_MS; id === undefined && world.now < latest;)
          id = await call(calls, 'visit', { thing, ms: 0 }, slot);
        if (id !== thing) world.wrong(`${thing} does not answer at the end, asked through ${slot}`);
      }
      things.settled(thing);
    }
}
