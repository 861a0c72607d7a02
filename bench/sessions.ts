import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { formatTable } from './table.ts';

interface Footprint {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
}

interface SessionsSide {
  readonly id: string;
  readonly title: string;
  /** Where it is not the usual number. */
  readonly count?: number;
}

export interface SessionsReport {
  readonly runtime: Runtime;
  readonly count: number;
  readonly sides: readonly (SessionsSide & Footprint & { readonly aboveSdkBytes: number })[];
}

const sides: readonly SessionsSide[] = [
  { id: 'sdk', title: 'the SDK’s own objects' },
  { id: 'ours', title: 'ours, no event log' },
  { id: 'ours-log', title: 'ours' },
  { id: 'hibernated', title: 'ours, hibernated', count: 100_000 },
  { id: 'official', title: 'official transport' },
];

/** Enough that the tables and caches that grow in steps weigh little per session. */
const count = 10_000;
const warmUp = 1_000;

/** Goal for a live idle session that keeps no event: bytes of heap on top of the SDK's own objects. */
const goalBytes = 1_536;

/** Goal for a hibernated session on the memory store: bytes of the process. */
const hibernatedGoalBytes = 300;

/** Heap per live idle session, each side in a process of its own, with the same factory and the same handshake. */
export async function measureSessions(runtime: Runtime, only: readonly string[]): Promise<SessionsReport> {
  const measured: (SessionsSide & Footprint)[] = [];
  for (const side of sides) {
    if (side.id !== 'sdk' && only.length > 0 && !only.includes(side.id)) continue;
    const server = await ServerProcess.start(runtime, {
      script: 'idle-sessions.mjs',
      nodeFlags: ['--expose-gc'],
    });
    try {
      const footprint = await server.ask<Footprint>('measure', {
        side: side.id,
        count: side.count ?? count,
        warmUp,
      });
      measured.push({ ...side, ...footprint });
    } finally {
      await server.stop();
    }
  }
  const sdkBytes = measured.find(({ id }) => id === 'sdk')?.heapBytes ?? 0;
  return {
    runtime,
    count,
    sides: measured.map((side) => ({ ...side, aboveSdkBytes: side.heapBytes - sdkBytes })),
  };
}

const bytes = (value: number): string => Math.round(value).toLocaleString('en-US');

function goal({ id, aboveSdkBytes }: SessionsReport['sides'][number]): string {
  if (id === 'ours') return `${aboveSdkBytes <= goalBytes ? 'reached' : 'missed'}: ≤ ${bytes(goalBytes)}`;
  // With fewer, what the live ones left in the process weighs more than what is kept.
  return id === 'hibernated' ? `goal: ≤ ${bytes(hibernatedGoalBytes)} of RSS with 1,000,000` : '';
}

export function formatSessions({ runtime, sides: measured, count: sessions }: SessionsReport): string {
  const header = ['', 'heap B', 'above the SDK B', 'external B', 'RSS B', ''];
  const rows = measured.map((side) => [
    side.title,
    bytes(side.heapBytes),
    side.id === 'sdk' || side.id === 'hibernated' ? '' : bytes(side.aboveSdkBytes),
    bytes(side.externalBytes),
    bytes(side.rssBytes),
    goal(side),
  ]);
  const title = `heap per idle session, ${bytes(sessions)} sessions (hibernated: 100,000) · Node ${runtime.version}`;
  return `${title}\n\n${formatTable([header, ...rows])}`;
}
