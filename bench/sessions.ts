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
  { id: 'official', title: 'official transport' },
];

/** Enough that the tables and caches that grow in steps weigh little per session. */
const count = 10_000;
const warmUp = 1_000;

/** Goal for a live idle session that keeps no event: bytes of heap on top of the SDK's own objects. */
const goalBytes = 1_536;

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
      const footprint = await server.ask<Footprint>('measure', { side: side.id, count, warmUp });
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

export function formatSessions({ runtime, sides: measured, count: sessions }: SessionsReport): string {
  const header = ['', 'heap B', 'above the SDK B', 'external B', 'RSS B', ''];
  const rows = measured.map((side) => [
    side.title,
    bytes(side.heapBytes),
    side.id === 'sdk' ? '' : bytes(side.aboveSdkBytes),
    bytes(side.externalBytes),
    bytes(side.rssBytes),
    side.id === 'ours' ? `${side.aboveSdkBytes <= goalBytes ? 'reached' : 'missed'}: ≤ ${bytes(goalBytes)}` : '',
  ]);
  const title = `heap per live idle session, ${bytes(sessions)} sessions · Node ${runtime.version}`;
  return `${title}\n\n${formatTable([header, ...rows])}`;
}
