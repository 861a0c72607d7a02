import { cpus } from 'node:os';
import type { LoadClient, LoadOptions } from './load-client.ts';
import { machineBusyUs } from './machine.ts';
import type { QuietTime } from './quiet-time.ts';
import { type Load, type RecordedAnswer, recordAnswer } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import type { Side, Work } from './works.ts';

export interface Measurement {
  readonly requestsPerS: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUsPerRequest: number;
  /** CPU time of the store's server. */
  readonly storeCpuUsPerRequest: number;
  readonly failures: number;
  /** CPU time of the load client over wall time: near 1, the client is the limit. */
  readonly client: number;
  /** Share of the machine that neither the server, the load client nor the harness used. */
  readonly foreign: number;
}

export interface SideResult {
  readonly side: Side;
  readonly rounds: readonly Measurement[];
}

export interface RoundsOptions extends LoadOptions {
  readonly rounds: number;
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
  readonly progress: (text: string) => void;
  /** Environment of every server. */
  readonly env: Readonly<Record<string, string>>;
  /** User and system time of the store's server so far. */
  storeCpuUs(): number;
}

interface Target {
  readonly server: ServerProcess;
  readonly load: Load;
}

const attempts = 3;
const warmUpS = 1;

/**
 * Runs all sides of a work, interleaved. Every round loads each side once, and the order rotates by one from round to
 * round. The first round warms up and is not counted. A side keeps its process for all rounds unless the work asks for
 * a fresh process.
 */
export async function runRounds(
  work: Work,
  runtime: Runtime,
  client: LoadClient,
  options: RoundsOptions,
): Promise<SideResult[]> {
  const targets = new Targets(work, runtime, options.env, async (load) => {
    await client.run(load, { ...options, durationS: work.warmUpS ?? warmUpS });
  });
  const results = work.sides.map((side) => ({ side, rounds: [] as Measurement[] }));
  try {
    for (let round = 0; round <= options.rounds; round++) {
      for (let turn = 0; turn < results.length; turn++) {
        const result = results[(round + turn) % results.length];
        if (result === undefined) continue;
        options.progress(`${work.id} ${result.side.id}, Node ${runtime.version}, round ${round}/${options.rounds}`);
        const measured = await measureQuietly(targets, result.side, client, options);
        if (round > 0) result.rounds.push(measured);
      }
    }
  } finally {
    await targets.stop();
  }
  return results;
}

/** Other processes affect the figures of a round. A disturbed round is repeated, and the quietest attempt counts. */
async function measureQuietly(
  targets: Targets,
  side: Side,
  client: LoadClient,
  options: RoundsOptions,
): Promise<Measurement> {
  const foreignMost = options.foreignPercent / 100;
  let quietest: Measurement | undefined;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    await options.quiet.wait(foreignMost);
    const measured = await measure(await targets.get(side), client, options);
    await targets.used(side);
    if (quietest === undefined || measured.foreign < quietest.foreign) quietest = measured;
    if (measured.foreign <= foreignMost) break;
  }
  if (quietest === undefined) throw new Error('no attempt was made');
  return quietest;
}

async function measure({ server, load }: Target, client: LoadClient, options: RoundsOptions): Promise<Measurement> {
  const wallBefore = performance.now();
  const busyBefore = machineBusyUs();
  const harnessBefore = process.cpuUsage();
  const storeBefore = options.storeCpuUs();
  const before = await server.cpuTime();
  const result = await client.run(load, options);
  const after = await server.cpuTime();
  const storeUs = options.storeCpuUs() - storeBefore;
  const harness = process.cpuUsage(harnessBefore);
  const busyUs = machineBusyUs() - busyBefore;
  const wallUs = (performance.now() - wallBefore) * 1000;
  const serverUs = after.user - before.user + after.system - before.system;
  const foreignUs = busyUs - serverUs - storeUs - result.clientCpuUs - harness.user - harness.system;
  return {
    requestsPerS: (result.requests * 1e6) / result.durationUs,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    cpuUsPerRequest: serverUs / result.requests,
    storeCpuUsPerRequest: storeUs / result.requests,
    failures: result.failures,
    client: result.clientCpuUs / result.durationUs,
    foreign: Math.max(0, foreignUs / (wallUs * cpus().length)),
  };
}

/** The running servers of one work, each with the load that the client sends. */
class Targets {
  readonly #work: Work;
  readonly #runtime: Runtime;
  readonly #env: Readonly<Record<string, string>>;
  readonly #warmUp: (load: Load) => Promise<void>;
  readonly #running = new Map<Side, Target>();
  #recorded: { readonly load: Load; readonly answer: RecordedAnswer } | undefined;

  constructor(
    work: Work,
    runtime: Runtime,
    env: Readonly<Record<string, string>>,
    warmUp: (load: Load) => Promise<void>,
  ) {
    this.#env = env;
    this.#work = work;
    this.#runtime = runtime;
    this.#warmUp = warmUp;
  }

  async get(side: Side): Promise<Target> {
    const running = this.#running.get(side);
    if (running !== undefined) return running;
    const target = await this.#start(side);
    this.#running.set(side, target);
    if (this.#work.freshProcess === true) await this.#warmUp(target.load);
    return target;
  }

  async used(side: Side): Promise<void> {
    if (this.#work.freshProcess !== true) return;
    await this.#running.get(side)?.server.stop();
    this.#running.delete(side);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map(async ({ server }) => server.stop()));
  }

  async #start(side: Side): Promise<Target> {
    if (side.repeats === undefined) {
      const env = { ...this.#env, ...side.server.env };
      const server = await ServerProcess.start(this.#runtime, { ...side.server, env });
      return { server, load: await this.#work.load(server.port) };
    }
    this.#recorded ??= await this.#record(side.repeats);
    const { load, answer } = this.#recorded;
    const env = { BENCH_ANSWER: JSON.stringify(answer) };
    const server = await ServerProcess.start(this.#runtime, { ...side.server, env });
    return { server, load: { ...load, port: server.port } };
  }

  async #record(ids: readonly string[]): Promise<{ load: Load; answer: RecordedAnswer }> {
    const model = this.#work.sides.find((side) => ids.includes(side.id));
    if (model === undefined) throw new Error(`one of these sides has to run too: ${ids.join(', ')}`);
    const { server, load } = await this.#start(model);
    try {
      return { load, answer: await recordAnswer(load) };
    } finally {
      await server.stop();
    }
  }
}
