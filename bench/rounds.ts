import { cpus } from 'node:os';
import type { LoadClient, LoadOptions } from './load-client.ts';
import { machineBusyUs } from './machine.ts';
import { type Load, type RecordedAnswer, recordAnswer } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import type { Side, Work } from './works.ts';

export interface Measurement {
  readonly requestsPerS: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUsPerRequest: number;
  readonly failures: number;
  /** CPU time of the load client over wall time: near 1, the client is the wall. */
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
  readonly progress: (text: string) => void;
}

interface Target {
  readonly server: ServerProcess;
  readonly load: Load;
}

const attempts = 5;
const warmUpS = 1;

/**
 * All sides of a work, interleaved: in every round each side is loaded once, and the order turns by one from round to
 * round. The first round warms up and is not counted. A side keeps its process for all rounds unless the work asks for
 * a fresh one.
 */
export async function runRounds(
  work: Work,
  runtime: Runtime,
  client: LoadClient,
  options: RoundsOptions,
): Promise<SideResult[]> {
  const starter = new SideStarter(work, runtime);
  const kept = new Map<Side, Target>();
  const results = work.sides.map((side) => ({ side, rounds: [] as Measurement[] }));
  try {
    for (let round = 0; round <= options.rounds; round++) {
      for (let turn = 0; turn < results.length; turn++) {
        const result = results[(round + turn) % results.length];
        if (result === undefined) continue;
        options.progress(
          `${work.id} ${result.side.id}, Node ${runtime.version}, round ${String(round)}/${String(options.rounds)}`,
        );
        const measurement = await measureQuietly(async () => {
          let target = kept.get(result.side);
          if (target === undefined || work.freshProcess === true) {
            await target?.server.stop();
            target = await starter.start(result.side);
            kept.set(result.side, target);
            if (work.freshProcess === true) await client.run(target.load, { ...options, durationS: warmUpS });
          }
          return measure(target, client, options);
        }, options.foreignPercent / 100);
        if (round > 0) result.rounds.push(measurement);
        if (work.freshProcess === true) {
          await kept.get(result.side)?.server.stop();
          kept.delete(result.side);
        }
      }
    }
  } finally {
    await Promise.all([...kept.values()].map(async ({ server }) => server.stop()));
  }
  return results;
}

async function measureQuietly(run: () => Promise<Measurement>, foreignMost: number): Promise<Measurement> {
  let quietest = await run();
  for (let attempt = 1; attempt < attempts && quietest.foreign > foreignMost; attempt++) {
    const again = await run();
    if (again.foreign < quietest.foreign) quietest = again;
  }
  return quietest;
}

async function measure({ server, load }: Target, client: LoadClient, options: LoadOptions): Promise<Measurement> {
  const wallBefore = performance.now();
  const busyBefore = machineBusyUs();
  const harnessBefore = process.cpuUsage();
  const before = await server.cpuTime();
  const result = await client.run(load, options);
  const after = await server.cpuTime();
  const harness = process.cpuUsage(harnessBefore);
  const busyUs = machineBusyUs() - busyBefore;
  const wallUs = (performance.now() - wallBefore) * 1000;
  const serverUs = after.user - before.user + after.system - before.system;
  const foreignUs = busyUs - serverUs - result.clientCpuUs - harness.user - harness.system;
  return {
    requestsPerS: (result.requests * 1e6) / result.durationUs,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    cpuUsPerRequest: serverUs / result.requests,
    failures: result.failures,
    client: result.clientCpuUs / result.durationUs,
    foreign: Math.max(0, foreignUs / (wallUs * cpus().length)),
  };
}

/** Starts sides of one work; a side that repeats another one's answers gets them recorded from it. */
class SideStarter {
  readonly #work: Work;
  readonly #runtime: Runtime;
  #recorded: { readonly load: Load; readonly answer: RecordedAnswer } | undefined;

  constructor(work: Work, runtime: Runtime) {
    this.#work = work;
    this.#runtime = runtime;
  }

  async start(side: Side): Promise<Target> {
    if (side.repeats === undefined) {
      const server = await ServerProcess.start(this.#runtime, side.server);
      return { server, load: await this.#work.load(server.port) };
    }
    this.#recorded ??= await this.#record(side.repeats);
    const { load, answer } = this.#recorded;
    const server = await ServerProcess.start(this.#runtime, {
      ...side.server,
      env: { BENCH_ANSWER: JSON.stringify(answer) },
    });
    return { server, load: { ...load, port: server.port } };
  }

  async #record(ids: readonly string[]) {
    const sides = ids.map((id) => this.#work.sides.find((side) => side.id === id));
    const model = sides.find((side) => side !== undefined);
    if (model === undefined) throw new Error(`one of these sides has to run too: ${ids.join(', ')}`);
    const { server, load } = await this.start(model);
    try {
      return { load, answer: await recordAnswer(load) };
    } finally {
      await server.stop();
    }
  }
}
