/** A world in which a test says what happens: instances that are there, faults that come when they are placed. */
import { expect } from 'vitest';
import type { McpEndpointOptions } from '../../src/base/options/mcp-endpoint-options.ts';
import { check } from './checker.ts';
import { SimClient, type ClientOptions } from './client.ts';
import type { Call, Ledger } from './ledger.ts';
import { Random } from './random.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { playIn } from './scheduler.ts';
import { World, type SimInstance, type WorldOptions } from './world.ts';

/** Of the instances of a world, by default. */
export const LEASE_MS = 1_000;

export interface StageOptions extends Partial<Omit<WorldOptions, 'endpoint' | 'slots'>> {
  readonly slots?: number;
  readonly endpoint?: McpEndpointOptions;
}

export class Stage {
  readonly world: World;
  readonly #random: Random;
  #clients = 0;

  constructor(world: World, seed: number) {
    this.world = world;
    this.#random = new Random(seed);
  }

  get ledger(): Ledger {
    return this.world.ledger;
  }

  /** A client with a session, opened on the instance of a slot. */
  async client(slot = 0, options: Partial<ClientOptions> = {}): Promise<SimClient> {
    const client = new SimClient({
      world: this.world,
      name: `c${this.#clients++}`,
      random: this.#random.fork(),
      version: '2025-11-25',
      ...options,
    });
    client.via.push(slot, slot);
    await client.open();
    return client;
  }

  instance(slot: number): SimInstance {
    const instance = this.world.slots[slot];
    if (instance === undefined) throw new Error(`slot ${slot} has no instance`);
    return instance;
  }

  /** The lease id of the instance in a slot. */
  id(slot: number): string {
    return this.instance(slot).core?.instance.lease.id ?? '';
  }

  /** Live sessions in a slot. */
  live(slot: number): number {
    return this.instance(slot).core?.registry.count ?? 0;
  }

  record(client: SimClient): StoredRecord | undefined {
    return this.world.data.stored(client.story?.id ?? '');
  }

  kill(slot: number): void {
    this.world.kill(this.instance(slot));
  }

  /** It is killed, and its lease runs out. */
  async die(slot: number): Promise<void> {
    this.kill(slot);
    await this.sleep(LEASE_MS);
  }

  /** It is frozen past its lease. It has another id and a lease when what this returns has resolved. */
  async frozen(slot: number, ms = LEASE_MS * 1.5): Promise<() => Promise<void>> {
    const before = this.id(slot);
    const { process, core } = this.instance(slot);
    process.freeze(false);
    await this.sleep(ms);
    return () => {
      process.thaw(true);
      const hasLease = (): boolean =>
        this.id(slot) !== before && core?.instance.lease.valid === true;
      return this.until(hasLease, 'a new id with a lease');
    };
  }

  async lapse(slot: number): Promise<void> {
    const returns = await this.frozen(slot);
    await returns();
  }

  sleep(ms: number): Promise<void> {
    return this.world.scheduler.sleep(ms);
  }

  async until(condition: () => boolean, what: string, withinMs = 20_000): Promise<void> {
    const deadline = this.world.now + withinMs;
    while (!condition()) {
      if (this.world.now > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
      // Nothing changes before the next event. Two that wait are each other's next event, so each waits a moment.
      await this.sleep(Math.max(0.1, this.world.scheduler.nextAt - this.world.now));
    }
  }

  /** A tool has begun so often. */
  runs(tool: string, times = 1): Promise<void> {
    return this.until(() => ranOf(this, tool) === times, `${tool} to run ${times} times`);
  }

  /** Calls of a name that reach the store wait until they are let go; `slot`: of the instance there now. */
  hold(
    call: string,
    slot?: number,
    what: 'hold' | 'holdReply' = 'hold',
  ): { readonly waiting: number; reached(times?: number): Promise<void>; letGo(): void } {
    const process = slot === undefined ? undefined : this.instance(slot).process;
    const { interfere } = this.world;
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let waiting = 0;
    this.world.interfere = (of, name) => {
      if (name !== call || (process !== undefined && of !== process)) return interfere(of, name);
      waiting += 1;
      return { [what]: held };
    };
    return {
      get waiting() {
        return waiting;
      },
      reached: (times = 1) => this.until(() => waiting >= times, `${times} × ${call} to wait`),
      letGo: () => {
        this.world.interfere = interfere;
        letGo();
      },
    };
  }

  /** The next calls of a name fail, before or after their effect; `slot`: of the instance there now. */
  fail(
    call: string,
    outcome: 'fails' | 'reply-lost',
    { slot, times = 1 }: { readonly slot?: number; readonly times?: number } = {},
  ): { readonly left: number } {
    const process = slot === undefined ? undefined : this.instance(slot).process;
    const { interfere } = this.world;
    const calls = { left: times };
    this.world.interfere = (of, name) => {
      if (name !== call || calls.left === 0 || (process !== undefined && of !== process))
        return interfere(of, name);
      calls.left -= 1;
      return { outcome };
    };
    return calls;
  }
}

/** Plays a scene in calm weather, and judges it. A scene that is wrong fails with its trace. */
export async function play(
  options: StageOptions,
  scene: (stage: Stage) => Promise<void>,
): Promise<Stage> {
  const { slots = 3, seed = 1, ...rest } = options;
  // A scene places its faults among the calls to the store: none comes that it does not ask for.
  const { limits, ...others } = options.endpoint ?? {};
  const endpoint = { ...others, limits: { perUser: { sessions: Infinity }, ...limits } };
  const world = new World({ slots, seed, traced: true, ...rest, endpoint });
  const stage = new Stage(world, seed);
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < slots; slot++) await world.start(slot);
    await scene(stage);
  };
  const traced = (): string => (world.trace ?? []).join('\n');
  try {
    await playIn(world, begin);
  } catch (error) {
    throw new Error(`${String(error)}\n${traced()}`, { cause: error });
  }
  const violations = check(world.ledger, world.data);
  if (violations.length > 0) throw new Error(`${violations.join('\n')}\n${traced()}`);
  return stage;
}

/** A scene with a client whose session is opened on the first instance. */
export async function withClient(
  { client: own, ...options }: StageOptions & { readonly client?: Partial<ClientOptions> },
  scene: (stage: Stage, client: SimClient) => Promise<void>,
): Promise<void> {
  await play(options, async (stage) => scene(stage, await stage.client(0, own)));
}

export const valueOf = ({ ending }: Call): unknown =>
  ending?.kind === 'result' ? ending.value : ending;
export const kindOf = ({ ending }: Call): string | undefined =>
  ending?.kind === 'error' ? ending.reason : ending?.kind;
export const ranOf = ({ ledger }: Stage, tool: string): number =>
  ledger.ran.filter((run) => run.tool === tool).length;

/** The client counts, or looks at its count, and it is `n`. */
export async function counts(
  client: SimClient,
  n: number,
  slot?: number,
  tool: 'count' | 'peek' = 'count',
): Promise<void> {
  expect(valueOf(await client.call(tool, { ...(slot !== undefined && { slot }) }))).toBe(n);
}

/** The call has the answer of its own run. */
export async function answered(call: Promise<Call>): Promise<void> {
  expect(valueOf(await call)).toBe((await call).nonce);
}

/** The client reads the GET stream of the instance of a slot, until what this returns is called. */
export async function listening(
  stage: Stage,
  client: SimClient,
  slot: number,
): Promise<() => void> {
  let stopped = false;
  client.via.push(slot);
  const before = client.getResponse;
  void client.listen(() => stopped);
  await stage.until(
    () => client.getResponse !== undefined && client.getResponse !== before,
    'the GET stream',
  );
  return () => {
    stopped = true;
  };
}
