import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { formatTable } from './table.ts';

interface Footprint {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
  /** Memory of the whole process, including its client. */
  readonly processBytes: number;
}

/**
 * The time of a ping to a hibernated session and of the next ping to the same session awake, over loopback HTTP in one
 * process.
 */
interface Wakes {
  readonly wakeP50Us: number;
  readonly wakeP99Us: number;
  readonly awakeP50Us: number;
  readonly awakeP99Us: number;
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
  readonly sides: readonly (SessionsSide & Footprint & Partial<Wakes> & { readonly aboveSdkBytes: number })[];
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
  const measured: (SessionsSide & Footprint & Partial<Wakes>)[] = [];
  const measure = async (side: SessionsSide, env: Readonly<Record<string, string>>): Promise<void> => {
    const server = await ServerProcess.start(runtime, {
      script: 'idle-sessions.mjs',
      nodeFlags: ['--expose-gc'],
      env,
    });
    try {
      const footprint = await server.ask<Footprint & Partial<Wakes>>('measure', {
        side: side.id,
        count: side.hibernated === true ? hibernated : count,
        warmUp,
      });
      measured.push({ ...side, ...footprint });
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
  const asleep = measured.filter((side) => side.wakeP99Us !== undefined);
  const wakes = asleep.map(({ title, wakeP50Us = 0, wakeP99Us = 0, awakeP50Us = 0, awakeP99Us = 0 }) => [
    title,
    ...[wakeP50Us, wakeP99Us, awakeP50Us, awakeP99Us].map(bytes),
    verdict(wakeP99Us <= wakeGoalUs, `≤ ${bytes(wakeGoalUs)}`),
  ]);
  const wakeHeader = ['a ping, µs', 'asleep p50', 'asleep p99', 'awake p50', 'awake p99', ''];
  const title = `heap per idle session, ${bytes(sessions)} sessions (hibernated: ${bytes(hibernated)}) · Node ${runtime.version}`;
  const tables =
    wakes.length === 0
      ? [[header, ...rows]]
      : [
          [header, ...rows],
          [wakeHeader, ...wakes],
        ];
  return [title, ...tables.map(formatTable)].join('\n\n');
}
