/**
 * Live objects in a world: clients call few handles at any instance, while instances crash, freeze, drain, lose their
 * lease and the store. No call begins more often than it may, no object answers once another one of its handle is
 * open, and no number of a state is given out twice.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { live, type LiveObject } from '../../src/index.ts';
import { MOST_RUNS } from '../../src/session/inbound/retries.ts';
import { said } from '../kit/tool-server.ts';
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
const HANDLES = 4;
const ACTIVE_MS = 6_000;
const POLLED_MS = 20_000;

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

const inputSchema = z.object({ thing: z.string().optional(), call: z.string(), ms: z.number() });
type Args = z.infer<typeof inputSchema>;

class Things {
  readonly world: World;
  readonly all: Thing[] = [];
  readonly #begun = new Map<string, number>();
  /** When the handler of a call was over, and with which object. */
  readonly #over = new Map<string, { readonly thing: Thing; readonly at: number }>();
  readonly #numbers = new Set<string>();
  answered = 0;

  constructor(world: World) {
    this.world = world;
  }

  server(process: SimProcess): McpServer {
    const server = new McpServer({ name: 'things', version: '1' });
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
          async (args, _ctx, object) => this.#visit(process, args, object),
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

  async #visit(process: SimProcess, { call, ms }: Args, { object, handle }: LiveObject<Thing>) {
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
    if (ms > 0) await pause(0.5);
    this.#over.set(call, { thing: object, at: this.world.now });
    return said(JSON.stringify({ id: handle.id, serial: object.serial, n }));
  }

  /** A client has this answer. */
  heard(call: string, { id, serial, n }: { id: string; serial: number; n: number }): void {
    this.answered += 1;
    const number = `${id} ${n}`;
    if (this.#numbers.has(number)) this.world.wrong(`${call}: ${number} was given out twice`);
    this.#numbers.add(number);
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

  /** Nothing goes wrong any more. */
  settled(handle: string): void {
    const open = this.all.filter(
      (thing) => thing.handle === handle && !thing.isClosed && thing.process.state === 'running',
    );
    if (open.length > 1) this.world.wrong(`${handle} has ${open.length} open objects at the end`);
  }
}

export async function runLive(seed: number, options: LiveWorldOptions = {}) {
  const { weather = {}, traced = false, ...rest } = options;
  const random = new Random(seed);
  const world: World = new World({
    seed: random.int(2 ** 31),
    slots: SLOTS,
    endpoint: { maxWaitMs: seed % 4 === 0 ? 200 : undefined },
    faults: FAULTS,
    traced,
    serverOf: ({ process }) => things.server(process),
    ...rest,
  });
  const things = new Things(world);
  const ledger = new TaskLedger(world, random.fork(), [0, 1]);
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < SLOTS; slot++) void world.start(slot);
    world.activeUntil = ACTIVE_MS;
    brew(world, random.fork(), { ...WEATHER, ...weather });
    await play(things, ledger, random);
  };
  await playIn(world, begin);
  const { all, answered } = things;
  return {
    violations: world.ledger.violations,
    counts: { opened: all.length, answered },
    trace: world.trace ?? [],
  };
}

/** What a call is answered with; `undefined`: an error, or no answer. */
async function call(
  things: Things,
  client: TaskClient,
  name: string,
  args: Args,
  slot?: number,
): Promise<string | undefined> {
  const { result } = await client.post('tools/call', { name, arguments: { ...args } }, slot);
  if (result === undefined || result['isError'] === true) return undefined;
  const [{ text }] = result['content'] as [{ text: string }];
  const answer = JSON.parse(text) as { id: string; serial: number; n: number };
  things.heard(args.call, answer);
  return answer.id;
}

async function play(things: Things, ledger: TaskLedger, random: Random): Promise<void> {
  const { world } = things;
  const handles: string[] = [];
  let calls = 0;
  const act = async (client: TaskClient, own: Random): Promise<void> => {
    while (world.now < ACTIVE_MS) {
      await world.scheduler.sleep(own.between(1, 80));
      const name = own.pick(['visit', 'peek']);
      const ms = own.pick([0, 5, 50, 800]);
      const thing = handles.length < HANDLES ? undefined : own.pick(handles);
      const id = await call(things, client, name, { thing, call: `${name} ${(calls += 1)}`, ms });
      if (id !== undefined && !handles.includes(id)) handles.push(id);
    }
  };
  const clients = Array.from({ length: CLIENTS }, async (_, n) => {
    const own = random.fork();
    await act(new TaskClient(ledger, own, `c${n}`), own);
  });
  await Promise.all(clients);
  world.healed = true;
  await world.heal();
  await world.scheduler.sleep(3 * world.leaseMs);
  const last = new TaskClient(ledger, random.fork(), 'last');
  for (const thing of handles)
    for (const slot of world.slots.keys()) {
      let id: string | undefined;
      for (const latest = world.now + POLLED_MS; id === undefined && world.now < latest;)
        id = await call(
          things,
          last,
          'visit',
          { thing, call: `visit ${(calls += 1)}`, ms: 0 },
          slot,
        );
      if (id !== thing) world.wrong(`${thing} does not answer at the end, asked through ${slot}`);
      things.settled(thing);
    }
}
