/** Runs of `once()` in a world: their tools, every run, effect and answer, and what is wrong with them. */
import type { McpServer, ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { MOST_RUNS } from '../../src/session/inbound/retries.ts';
import { once } from '../../src/durable/once/index.ts';
import { said } from '../kit/tool-server.ts';
import type { Range } from './faults.ts';
import type { SimProcess } from './process.ts';
import type { Random } from './random.ts';
import type { WellInstances } from './well-instances.ts';
import type { World } from './world.ts';

/** What becomes of a call whose instance died in its run: the first word of its key. */
export const POLICIES = ['fail', 'run', 'ask'] as const;

interface Run {
  readonly key: string;
  readonly n: number;
  readonly process: SimProcess;
  settled: boolean;
}

const inputSchema = z.object({ key: z.string() });

export class OnceRuns {
  readonly runs: Run[] = [];
  /** Keys that clients called with. */
  readonly keys = new Set<string>();
  /** How many answers were read from the store: another instance had run the call. */
  stored = 0;
  readonly #world: World;
  readonly #well: WellInstances;
  readonly #random: Random;
  readonly #runMs: Range;
  /** The run whose result the store gave to a caller: nothing may follow it. */
  readonly #recorded = new Map<string, number>();
  readonly #effects = new Map<string, Run>();
  /** How often a key had run when a process last asked what became of it. */
  readonly asked = new Map<string, number>();

  constructor(world: World, well: WellInstances, random: Random, runMs: Range) {
    this.#world = world;
    this.#well = well;
    this.#random = random;
    this.#runMs = runMs;
  }

  register(server: McpServer, process: SimProcess): void {
    for (const policy of POLICIES) {
      const handler = once(
        ({ key }: { key: string }, { mcpReq }: ServerContext) =>
          this.#run(key, process, mcpReq.signal),
        {
          key: ({ key }) => key,
          afterCrash: policy === 'ask' ? ({ key }) => this.#found(key, process) : policy,
        },
      );
      server.registerTool(policy, { inputSchema }, handler);
    }
  }

  /** What the application finds outside after a crash. */
  async #found(key: string, process: SimProcess): Promise<ReturnType<typeof said> | 'run'> {
    const effect = this.#effects.get(key);
    this.asked.set(`${process.name} ${key}`, this.#runsOf(key).length);
    await new Promise<void>(
      (over) => void process.setTimeout(over, this.#random.between(...this.#runMs)),
    );
    return effect === undefined ? 'run' : said(effect.n);
  }

  #runsOf(key: string): readonly Run[] {
    return this.runs.filter((run) => run.key === key);
  }

  async #run(
    key: string,
    process: SimProcess,
    signal: AbortSignal,
  ): Promise<ReturnType<typeof said>> {
    const run: Run = { key, n: this.runs.length, process, settled: false };
    this.#began(run);
    this.runs.push(run);
    await new Promise<void>(
      (over) => void process.setTimeout(over, this.#random.between(...this.#runMs)),
    );
    run.settled = true;
    signal.throwIfAborted();
    this.#effects.set(key, run);
    this.#world.note(`${process.name} takes effect: run ${run.n} of ${key}`);
    return said(run.n);
  }

  #began({ key, n, process }: Run): void {
    this.#world.note(`${process.name} begins run ${n} of ${key}`);
    const earlier = this.#runsOf(key);
    if (key.startsWith('fail') && earlier.length > 0)
      this.#world.wrong(`${key} ran again, and may not`);
    const asked = this.asked.get(`${process.name} ${key}`) ?? 0;
    if (key.startsWith('ask') && earlier.length !== asked)
      this.#world.wrong(`${key} ran again without a question`);
    if (earlier.length >= MOST_RUNS) this.#world.wrong(`${key} began more than ${MOST_RUNS} times`);
    if (this.#recorded.has(key)) this.#world.wrong(`${key} ran again after its result was stored`);
    for (const other of earlier) {
      if (this.#well.has(other.process) && !other.settled && other.process !== process)
        this.#world.wrong(`${key} ran twice at once`);
    }
  }

  /** A client got the result of this run from a process. */
  answered(key: string, process: SimProcess, n: number): void {
    if (this.runs[n] === undefined || this.runs[n].process === process) return;
    this.stored += 1;
    const recorded = this.#recorded.get(key);
    if (recorded === undefined) this.#recorded.set(key, n);
    else if (recorded !== n)
      this.#world.wrong(`${key} changed its result from run ${recorded} to run ${n}`);
  }

  /** What every instance says of a key when nothing goes wrong any more. */
  settled(key: string, told: ReadonlySet<string>): void {
    if (told.size > 1)
      this.#world.wrong(`${key} has more than one outcome: ${[...told].join(', ')}`);
    const [one = ''] = told;
    if (!/^run \d|^owner_lost$|^once_aborted$/.test(one))
      this.#world.wrong(`${key} was answered with ${one}`);
    const mayRun = !key.startsWith('fail') && this.#runsOf(key).length < MOST_RUNS;
    if (mayRun && one === 'owner_lost')
      this.#world.wrong(`${key} is lost, though it may run again`);
  }
}
