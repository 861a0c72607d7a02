import { cpus } from 'node:os';
import { machineBusyUs } from './machine.ts';
import type { QuietTime } from './quiet-time.ts';
import type { ServerProcess } from './server-process.ts';

export interface QuietOptions {
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
}

export interface Quiet<T> {
  readonly found: T;
  /** Share of the machine that neither the server nor this process used. */
  readonly foreign: number;
}

/** Short measurements are disturbed often and cost little. */
const ATTEMPTS = 5;

/** Measures again when other processes disturbed the measurement. The quietest attempt counts, whatever its result. */
export async function quietly<T>(
  server: ServerProcess,
  { foreignPercent, quiet }: QuietOptions,
  run: () => Promise<T>,
): Promise<Quiet<T>> {
  const most = foreignPercent / 100;
  let best: Quiet<T> | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await quiet.wait(most);
    const before = await usage(server);
    const found = await run();
    const after = await usage(server);
    const foreign = Math.max(0, (after.foreignUs - before.foreignUs) / (after.wallUs - before.wallUs));
    if (best === undefined || foreign < best.foreign) best = { found, foreign };
    if (best.foreign <= most) break;
  }
  if (best === undefined) throw new Error('no attempt was made');
  return best;
}

async function usage(server: ServerProcess): Promise<{ wallUs: number; foreignUs: number }> {
  const cpu = await server.cpuTime();
  const harness = process.cpuUsage();
  const oursUs = cpu.user + cpu.system + harness.user + harness.system;
  return { wallUs: performance.now() * 1000 * cpus().length, foreignUs: machineBusyUs() - oursUs };
}
