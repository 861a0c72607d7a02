import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { formatTable } from './table.ts';
import { measureWakes, type Times, type Wakes } from './wakes.ts';

interface Footprint {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
  /** Memory of the whole process, including its client. */
  readonly processBytes: number;
}

interface Measured extends Footprint {
  /** Where sessions hibernate: the server's port, and some of them. */
  readonly port?: number;
  readonly sample?: readonly string[];
}

interface SessionsSide {
  readonly id: string;
  readonly title: string;
  readonly hibernated?: boolean;
  /** Whether it is measured with the baseline build too. */
  readonly compared?: boolean;
}

export interface SessionsReport {
  readonly runtime: Runtime;
  readonly count: number;
  readonly hibernated: number;
  readonly sides: readonly (SessionsSide & Footprint & { readonly aboveSdkBytes: number; readonly wakes?: Wakes })[];
}

const sides: readonly SessionsSide[] = [
  { id: 'sdk', title: 'the SDK’s own objects' },
  { id: 'ours', title: 'ours, no event log', compared: true },
  { id: 'ours-log', title: 'ours', compared: true },
  { id: 'hibernated', title: 'ours, hibernated, memory', hibernated: true },
  { id: 'hibernated-sqlite', title: 'ours, hibernated, SQLite', hibernated: true },
  { id: 'official', title: 'official transport' },
];

/** Enough sessions that tables and caches that grow in steps weigh little per session. */
const count = 10_000;
const warmUp = 1_000;

/** Goal for a live idle session without events: bytes of heap above the SDK's own objects. */
const goalBytes = 1_536;

/** Goal for a hibernated session on the memory store: bytes of the process, with a million sessions. */
const hibernatedGoalBytes = 300;
/** Goal for a process with a million sessions on SQLite. */
const hibernatedProcessGoalBytes = 200e6;
const goalCount = 1_000_000;
const wakeGoalUs = 1_000;

/** Heap per live idle session, each side in a separate process, with the same factory and the same handshake. */
export async function measureSessions(
  runtime: Runtime,
  only: readonly string[],
  hibernated: number,
  baseline: string | undefined,
): Promise<SessionsReport> {
  const measured: (SessionsSide & Footprint & { wakes?: Wakes })[] = [];
  const measure = async (side: SessionsSide, env: Readonly<Record<string, string>>): Promise<void> => {
    const server = await ServerProcess.start(runtime, {
      script: 'idle-sessions.mjs',
      nodeFlags: ['--expose-gc'],
      env,
    });
    try {
      const { port, sample, ...footprint } = await server.ask<Measured>('measure', {
        side: side.id,
        count: side.hibernated === true ? hibernated : count,
        warmUp,
      });
      const wakes = port === undefined ? undefined : await measureWakes(server, port, sample ?? []);
      measured.push({ ...side, ...footprint, ...(wakes && { wakes }) });
    } finally {
      await server.stop();
    }
  };
  const otherBuild = baseline && { BENCH_DIST: pathToFileURL(resolve(baseline, 'index.js')).href };
  for (const side of sides) {
    if (side.id !== 'sdk' && only.length > 0 && !only.includes(side.id)) continue;
    await measure(side, {});
    if (otherBuild && side.compared === true)
      await measure({ ...side, title: `${side.title}, baseline build` }, otherBuild);
  }
  const sdkBytes = measured.find(({ id }) => id === 'sdk')?.heapBytes ?? 0;
  return {
    runtime,
    count,
    hibernated,
    sides: measured.map((side) => ({ ...side, aboveSdkBytes: side.heapBytes - sdkBytes })),
  };
}

const bytes = (value: number): string => Math.round(value).toLocaleString('en-US');

const verdict = (reached: boolean, goal: string): string => `${reached ? 'reached' : 'missed'}: ${goal}`;

function goal(
  { id, aboveSdkBytes, rssBytes, processBytes }: SessionsReport['sides'][number],
  hibernated: number,
): string {
  if (id === 'ours') return verdict(aboveSdkBytes <= goalBytes, `≤ ${bytes(goalBytes)}`);
  const many = hibernated >= goalCount;
  if (id === 'hibernated') {
    const wanted = `≤ ${bytes(hibernatedGoalBytes)} of RSS`;
    // With fewer sessions, the remains of the live sessions weigh more than the kept records.
    return many ? verdict(rssBytes <= hibernatedGoalBytes, wanted) : `goal: ${wanted} with ${bytes(goalCount)}`;
  }
  if (id !== 'hibernated-sqlite') return '';
  const wanted = `≤ ${bytes(hibernatedProcessGoalBytes / 1e6)} MB for the process`;
  return many
    ? verdict(processBytes <= hibernatedProcessGoalBytes, wanted)
    : `goal: ${wanted} with ${bytes(goalCount)}`;
}

export function formatSessions({ runtime, sides: measured, count: sessions, hibernated }: SessionsReport): string {
  const header = ['', 'heap B', 'above the SDK B', 'external B', 'RSS B', 'process MB', ''];
  const rows = measured.map((side) => [
    side.title,
    bytes(side.heapBytes),
    side.id === 'sdk' || side.hibernated === true ? '' : bytes(side.aboveSdkBytes),
    bytes(side.externalBytes),
    bytes(side.rssBytes),
    bytes(side.processBytes / 1e6),
    goal(side, hibernated),
  ]);
  const wakes = measured.flatMap((side) => (side.wakes === undefined ? [] : formatWakes(side.title, side.wakes)));
  const title = `heap per idle session, ${bytes(sessions)} sessions (hibernated: ${bytes(hibernated)}) · Node ${runtime.version}`;
  return [title, formatTable([header, ...rows]), ...wakes].join('\n\n');
}

function formatWakes(title: string, wakes: Wakes): string[] {
  const row = (name: string, { count: pings, p50Us, p99Us }: Times, goalText = ''): string[] => [
    name,
    bytes(pings),
    pings === 0 ? '' : bytes(p50Us),
    pings === 0 ? '' : bytes(p99Us),
    goalText,
  ];
  const { count: pauses, medianUs, longestUs } = wakes.pauses;
  const reached = verdict(wakes.undisturbed.p99Us <= wakeGoalUs, `≤ ${bytes(wakeGoalUs)}`);
  const table = formatTable([
    [`${title}: a ping`, 'pings', 'p50 µs', 'p99 µs', ''],
    row('asleep, all', wakes.asleep),
    row('no collector pauses', wakes.undisturbed, reached),
    row('the server’s collector pauses', wakes.paused),
    row('only the client’s collector pauses', wakes.clientPaused),
    row('awake, all', wakes.awake),
  ]);
  const note = `pauses of the server’s collector: ${bytes(pauses)}, median ${bytes(medianUs)} µs, longest ${bytes(longestUs)} µs`;
  return [table, note];
}
