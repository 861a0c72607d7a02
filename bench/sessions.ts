/** What a session keeps in memory after its client has disconnected. */
import { openSessions } from './requests.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { formatTable } from '../src/cli/prove/table.ts';
import { baselineOf, type Side, works } from './works.ts';

/** Enough that tables which grow in steps weigh little for each session. */
const COUNT = 10_000;
const WARM_UP = 1_000;
const HIBERNATE_MS = 100;

interface Kept {
  readonly side: Side;
  readonly heapBytes: number;
  readonly rssBytes: number;
}

const withOptions = (side: Side, id: string, title: string, options: object): Side => ({
  ...side,
  id,
  title,
  env: {
    ...side.env,
    BENCH_OPTIONS: JSON.stringify({
      ...(JSON.parse(side.env?.['BENCH_OPTIONS'] ?? '{}') as object),
      ...options,
    }),
  },
});

export function sidesOf(baseline: string | undefined): Side[] {
  const { sides = [] } = works.find(({ id }) => id === 'initialize') ?? {};
  const [ours, one, official] = sides as [Side, Side, Side];
  const own = [
    ours,
    one,
    withOptions(ours, 'no-log', 'ours, no event log', { eventRetention: false }),
    withOptions(ours, 'hibernated', 'ours, hibernated', { hibernateAfterMs: HIBERNATE_MS }),
  ];
  const beside = (side: Side): Side[] =>
    baseline === undefined ? [side] : [side, ...baselineOf(side, baseline)];
  return [...own.flatMap(beside), official];
}

async function measure(node: Node, side: Side): Promise<Kept> {
  const server = await ServerProcess.start(
    { ...node, flags: [...node.flags, '--expose-gc'] },
    side,
  );
  const settled = async (): Promise<NodeJS.MemoryUsage> => {
    const isHibernating = side.id.includes('hibernated');
    while (isHibernating && (await server.ask<number>('live')) > 0)
      await new Promise((done) => setTimeout(done, 100));
    return server.ask<NodeJS.MemoryUsage>('memory');
  };
  try {
    await openSessions(server.port, WARM_UP);
    const before = await settled();
    await openSessions(server.port, COUNT);
    const after = await settled();
    const each = (key: 'heapUsed' | 'external' | 'rss'): number =>
      (after[key] - before[key]) / COUNT;
    return { side, heapBytes: each('heapUsed') + each('external'), rssBytes: each('rss') };
  } finally {
    await server.stop();
  }
}

export async function measureSessions(
  node: Node,
  sides: readonly string[],
  baseline?: string,
): Promise<string> {
  const rows: string[][] = [];
  for (const side of sidesOf(baseline)) {
    if (sides.length > 0 && !sides.includes(side.id)) continue;
    const { heapBytes, rssBytes } = await measure(node, side);
    rows.push([side.title, heapBytes.toFixed(0), rssBytes.toFixed(0)]);
  }
  return `sessions: bytes per idle session, ${COUNT} of them\n\n${formatTable([['', 'heap', 'RSS'], ...rows])}\n`;
}
