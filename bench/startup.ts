/** The time from the start of a process to the first answer of its server, beside the official SDK in the same turn. */
import type { QuietTime } from './quiet-time.ts';
import { initializeLoad, modernCalls, recordAnswer } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { summarize } from './statistics.ts';
import { formatTable } from './table.ts';

export interface StartupOptions {
  /** Processes of each side and request. */
  readonly rounds: number;
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
}

export interface StartupReport {
  readonly runtime: Runtime;
  readonly rounds: number;
  readonly starts: readonly Start[];
}

type SideId = 'ours' | 'transport' | 'handler';

interface Start {
  readonly request: string;
  readonly side: SideId;
  /** Time to import the modules, measured inside the process. */
  readonly importMs: number[];
  /** Time from `spawn` to the end of the answer. */
  readonly answerMs: number[];
  /** User and system time of the process until then; other processes affect it least. */
  readonly cpuMs: number[];
}

interface FirstRequest {
  readonly title: string;
  readonly sides: readonly SideId[];
  send(port: number): Promise<unknown>;
}

/** At most this multiple of the official side's time. */
const GOAL = 1.3;

const TITLES: Readonly<Record<SideId, string>> = {
  ours: 'ours',
  transport: 'official transport',
  handler: 'createMcpHandler, toNodeHandler',
};

const REQUESTS: readonly FirstRequest[] = [
  {
    title: 'initialize, 2025-06-18',
    sides: ['ours', 'transport', 'handler'],
    async send(port) {
      const { status } = await recordAnswer(initializeLoad(port, '2025-06-18'));
      if (status !== 200) throw new Error(`initialize was answered with ${String(status)}`);
    },
  },
  // The official transport does not support this revision.
  { title: 'tools/call, 2026-07-28', sides: ['ours', 'handler'], send: modernCalls },
];

export async function measureStartup(
  runtime: Runtime,
  { rounds, foreignPercent, quiet }: StartupOptions,
  progress: (text: string) => void,
): Promise<StartupReport> {
  const plans = REQUESTS.flatMap(({ title, sides, send }) =>
    sides.map((side) => ({ send, start: { request: title, side, importMs: [], answerMs: [], cpuMs: [] } as Start })),
  );
  // The first round loads the files into the system's cache.
  for (let round = 0; round <= rounds; round++) {
    progress(`start-up, Node ${runtime.version}, round ${String(round)}/${String(rounds)}`);
    await quiet.wait(foreignPercent / 100);
    for (let turn = 0; turn < plans.length; turn++) {
      const plan = plans[(round + turn) % plans.length];
      if (plan === undefined) continue;
      const { importMs, answerMs, cpuMs } = await startOnce(runtime, plan.start.side, plan.send);
      if (round === 0) continue;
      plan.start.importMs.push(importMs);
      plan.start.answerMs.push(answerMs);
      plan.start.cpuMs.push(cpuMs);
    }
  }
  return { runtime, rounds, starts: plans.map(({ start }) => start) };
}

async function startOnce(
  runtime: Runtime,
  side: SideId,
  send: FirstRequest['send'],
): Promise<{ importMs: number; answerMs: number; cpuMs: number }> {
  const spawned = performance.now();
  const server = await ServerProcess.start(runtime, { script: 'startup.mjs', env: { BENCH_SIDE: side } });
  try {
    await send(server.port);
    const answerMs = performance.now() - spawned;
    const inside = await server.ask<{ importMs: number; cpuMs: number }>('spent');
    return { ...inside, answerMs };
  } finally {
    await server.stop();
  }
}

export function formatStartup({ runtime, rounds, starts }: StartupReport): string {
  const header = ['', 'import ms', '', 'CPU ms', '', 'first answer ms', 'least', 'most', '', ''];
  const rows = starts.map(({ request, side, importMs, answerMs, cpuMs }) => {
    const own = starts.find((each) => each.request === request && each.side === 'ours');
    const answer = summarize(answerMs);
    const title = `${request}: ${TITLES[side]}`;
    const [imported, cpu] = [ms(summarize(importMs).median), ms(summarize(cpuMs).median)];
    const times = [ms(answer.median), ms(answer.least), ms(answer.most)];
    if (side === 'ours' || own === undefined) return [title, imported, '', cpu, '', ...times, '', ''];
    const ratio = perRound(own.answerMs, answerMs);
    const verdict = `${ratio <= GOAL ? 'reached' : 'missed'}: ≤ ${GOAL.toFixed(2)}×`;
    const [importRatio, cpuRatio] = [perRound(own.importMs, importMs), perRound(own.cpuMs, cpuMs)];
    return [title, imported, shown(importRatio), cpu, shown(cpuRatio), ...times, shown(ratio), verdict];
  });
  return `Start-up, median of ${String(rounds)} processes each; ratios are ours over that side · Node ${runtime.version}\n\n${formatTable([header, ...rows])}`;
}

/** Ratios are computed within a round, so that drift over the run affects both sides. */
function perRound(own: readonly number[], theirs: readonly number[]): number {
  return summarize(own.map((value, round) => value / (theirs[round] ?? Number.NaN))).median;
}

const ms = (value: number): string => value.toFixed(0);
const shown = (ratio: number): string => `${ratio.toFixed(2)}×`;
