/**
 * Runs of `once()` in a world: callers on all instances ask for few keys, again and again, while instances crash,
 * freeze, lose their lease and the store. The checker knows every run, every effect and every answer.
 */
import type { AfterCrashKind, OnceCall } from '../../src/once/once-call.ts';
import { CallRefusal } from '../../src/session/calls/call-refusal.ts';
import { type Faults, NO_FAULTS, type Range } from './faults.ts';
import type { SimProcess } from './process.ts';
import { Random } from './random.ts';
import { brew, CLEAR, type Weather } from './weather.ts';
import { WellInstances } from './well-instances.ts';
import { playIn } from './scheduler.ts';
import { type SimInstance, World, type WorldOptions } from './world.ts';

const SLOTS = 3;
const CALLERS = 6;
const POLICIES: readonly AfterCrashKind[] = ['fail', 'run', 'ask'];
const ACTIVE_MS = 6_000;
/** Longer than a run: the entries are there to its end. */
const KEEP_MS = 600_000;
/** What a call may take when nothing goes wrong any more. */
const CALM_MS = 20_000;

const WEATHER: Weather = { ...CLEAR, crash: 0.5, freeze: 0.4, suspend: 0.2, cutOff: 0.4, outage: 0.15, drain: 0.2 };
const FAULTS: Partial<Faults> = { store: [0.5, 8], storeFails: 0.02, storeReplyLost: 0.03, storeTwice: 0.03 };

export interface OnceOptions extends Partial<Pick<WorldOptions, 'wrapStore' | 'changes'>> {
  readonly weather?: Partial<Weather>;
  /** How many keys callers share at a time. */
  readonly keys?: number;
  /** How long handlers run. */
  readonly runMs?: Range;
  readonly traced?: boolean;
}

/** A call: `leavesMs`: its client waits no longer. */
interface Asked {
  readonly policy: AfterCrashKind;
  readonly key: string;
  /** How long its handler runs. */
  readonly ms: number;
  readonly leavesMs?: number;
}

interface Run {
  readonly key: string;
  readonly n: number;
  readonly process: SimProcess;
  settled: boolean;
}

/** `by`: the run whose result it is. `stored`: another instance ran it, so its result was read from the store. */
interface Answer {
  readonly by?: number | undefined;
  readonly refused?: string | undefined;
  readonly broken?: true;
  readonly stored: boolean;
}

export class OnceScene {
  readonly world: World;
  readonly runs: Run[] = [];
  readonly answers: Answer[] = [];
  /** The run whose result the store gave to a caller: nothing may follow it. */
  readonly #recorded = new Map<string, number>();
  readonly #effects = new Map<string, Run>();
  readonly well: WellInstances;

  constructor(world: World) {
    this.world = world;
    this.well = new WellInstances(world);
  }

  call(instance: SimInstance, { policy, key, ms, leavesMs = Infinity }: Asked): Promise<Answer> {
    const { process, core } = instance;
    const { scheduler } = this.world;
    const client = new AbortController();
    const asked: OnceCall = {
      entry: { id: key, tool: policy, args: 'args', share: 'user', keepMs: KEEP_MS, endsWithClient: false },
      session: undefined,
      user: undefined,
      signal: client.signal,
      onExpiry: () => {},
      ended: () => 'left',
      afterCrash: async () => policy,
      declaresOnce: undefined,
      start: (signal, asks) => this.#handler({ process, policy, key, ms, signal, asks }),
    };
    const asking = new Promise<Omit<Answer, 'stored'>>((end) =>
      process.enter(() => {
        this.world.note(`${process.name} is asked for ${key}`);
        core?.once.run(asked).then(
          (value) => end({ by: Number((value as { content: [{ text: string }] }).content[0].text) }),
          (cause: unknown) =>
            client.signal.aborted
              ? end({ broken: true })
              : end({ refused: cause instanceof CallRefusal ? cause.refusal.code : String(cause) }),
        );
      }),
    );
    if (leavesMs < Infinity) scheduler.after(leavesMs, () => process.enter(() => client.abort(new Error('left'))));
    const answered = asking.then((answer): Answer => {
      const run = this.runs[answer.by ?? -1];
      const stored = run !== undefined && run.process !== process;
      this.answers.push({ ...answer, stored });
      if (stored) this.#check(key, run);
      return { ...answer, stored };
    });
    return process.whileAlive(answered, { broken: true, stored: false });
  }

  #check(key: string, { n }: Run): void {
    const recorded = this.#recorded.get(key);
    if (recorded === undefined) this.#recorded.set(key, n);
    else if (recorded !== n) this.world.wrong(`${key} changed its result from run ${recorded} to run ${n}`);
  }

  async #handler(of: {
    readonly process: SimProcess;
    readonly policy: AfterCrashKind;
    readonly key: string;
    readonly ms: number;
    readonly signal: AbortSignal;
    readonly asks: boolean;
  }): Promise<unknown> {
    const { process, policy, key, ms, signal, asks } = of;
    const before = this.#effects.get(key);
    if (asks && before !== undefined) return said(before.n);
    const run: Run = { key, n: this.runs.length, process, settled: false };
    this.#began(run, policy);
    this.runs.push(run);
    await new Promise<void>((over) => void process.setTimeout(over, ms));
    run.settled = true;
    signal.throwIfAborted();
    this.#effects.set(key, run);
    this.world.note(`${process.name} takes effect: run ${run.n} of ${key}`);
    return said(run.n);
  }

  #began({ key, n, process }: Run, policy: AfterCrashKind): void {
    this.world.note(`${process.name} begins run ${n} of ${key}`);
    const earlier = this.runs.filter((run) => run.key === key);
    if (policy === 'fail' && earlier.length > 0) this.world.wrong(`${key} ran again, and may not`);
    if (policy === 'ask' && this.#effects.has(key)) this.world.wrong(`${key} ran again without a question`);
    if (this.#recorded.has(key)) this.world.wrong(`${key} ran again after its result was stored`);
    for (const other of earlier) {
      if (this.well.has(other.process) && !other.settled && other.process !== process)
        this.world.wrong(`${key} ran twice at once`);
    }
  }

  /** Each key is known everywhere: every instance says the same of it. */
  async settle(keys: Iterable<string>): Promise<void> {
    for (const key of keys) {
      const policy = key.split(' ')[0] as AfterCrashKind;
      const told = new Set<string>();
      for (const instance of this.world.slots) {
        if (instance === undefined) continue;
        let answer: Answer | undefined;
        void this.call(instance, { policy, key, ms: 10 }).then((given) => (answer = given));
        const latest = this.world.now + CALM_MS;
        while (answer === undefined && this.world.now < latest) await this.world.scheduler.sleep(50);
        if (answer === undefined) this.world.wrong(`${key} was not answered within ${CALM_MS} ms of calm`);
        else told.add(answer.refused ?? `run ${answer.by}`);
      }
      if (told.size > 1) this.world.wrong(`${key} has more than one outcome: ${[...told].join(', ')}`);
      const [one = ''] = told;
      if (!/^run \d|^OWNER_LOST$|^CANCELLED$/.test(one)) this.world.wrong(`${key} was answered with ${one}`);
      if (policy !== 'fail' && one === 'OWNER_LOST') this.world.wrong(`${key} is lost, though it may run again`);
    }
  }
}

const said = (run: number): object => ({ content: [{ type: 'text', text: String(run) }] });

/** One run, and what the checker found in it. */
export async function runOnce(seed: number, options: OnceOptions = {}) {
  const { weather = {}, keys = 9, runMs = [1, 400], traced = false, ...rest } = options;
  const random = new Random(seed);
  const world = new World({
    seed: random.int(2 ** 31),
    slots: SLOTS,
    faults: { ...NO_FAULTS, ...FAULTS },
    traced,
    ...rest,
  });
  const scene = new OnceScene(world);
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < SLOTS; slot++) void world.start(slot);
    scene.well.watch();
    await play(scene, random, { weather: { ...WEATHER, ...weather }, keys, runMs });
  };
  await playIn(world, begin);
  const { runs, answers } = scene;
  return { violations: world.ledger.violations, runs, answers, trace: world.trace ?? [] };
}

async function play(
  scene: OnceScene,
  random: Random,
  { weather, keys: shared, runMs }: { readonly weather: Weather; readonly keys: number; readonly runMs: Range },
): Promise<void> {
  const { world } = scene;
  world.activeUntil = ACTIVE_MS;
  brew(world, random.fork(), weather);
  const keys = new Set<string>();
  const caller = async (own: Random): Promise<void> => {
    while (world.now < ACTIVE_MS) {
      await world.scheduler.sleep(own.between(1, 60));
      const serving = world.slots.filter((instance): instance is SimInstance => instance?.listening === true);
      if (serving.length === 0) continue;
      const policy = own.pick(POLICIES);
      // A few keys at a time, which callers share.
      const key = `${policy} ${own.int(shared) + shared * Math.floor(world.now / 1_500)}`;
      keys.add(key);
      const leavesMs = own.chance(0.2) ? own.between(1, 300) : Infinity;
      await Promise.race([
        scene.call(own.pick(serving), { policy, key, ms: own.between(...runMs), leavesMs }),
        world.scheduler.sleep(own.between(500, 5_000)),
      ]);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, () => caller(random.fork())));
  world.healed = true;
  await world.heal();
  await world.scheduler.sleep(3 * world.leaseMs);
  await scene.settle(keys);
}
