import { formatTable } from './table.ts';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** The format of the inspector's Profiler.stop and of `--cpu-prof`. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** µs before each sample. */
  readonly timeDeltas: readonly number[];
}

interface Entry {
  readonly title: string;
  readonly place: string;
  readonly room: string;
  selfUs: number;
  totalUs: number;
}

/** Self time by folder (sojourn's folders, the packages, Node.js, the garbage collector), then by function. */
export function formatProfile(profile: CpuProfile, requests: number, top: number): string {
  const entries = entriesOf(profile);
  const busyUs = entries.reduce((sum, entry) => sum + entry.selfUs, 0);
  const rooms = new Map<string, number>();
  for (const { room, selfUs } of entries) rooms.set(room, (rooms.get(room) ?? 0) + selfUs);
  const perRequest = (us: number): string => (us / requests).toFixed(2);
  const share = (us: number): string => `${((us / busyUs) * 100).toFixed(1)} %`;
  const roomRows = [...rooms].toSorted(([, a], [, b]) => b - a).map(([room, us]) => [room, perRequest(us), share(us)]);
  const functionRows = (by: 'selfUs' | 'totalUs'): string[][] =>
    entries
      .filter(({ place }) => by === 'selfUs' || place !== '')
      .toSorted((a, b) => b[by] - a[by])
      .slice(0, top)
      .map(({ title, place, selfUs, totalUs }) => [
        title,
        perRequest(selfUs),
        share(selfUs),
        perRequest(totalUs),
        place,
      ]);
  const head = ['function', 'self µs', 'self', 'total µs', 'place'];
  return [
    formatTable([['room', 'µs/request', 'share'], ...roomRows]),
    'By self time',
    formatTable([head, ...functionRows('selfUs')]),
    'By total time',
    formatTable([head, ...functionRows('totalUs')]),
  ].join('\n\n');
}

function entriesOf({ nodes, samples, timeDeltas }: CpuProfile): Entry[] {
  const selfUs = new Map<number, number>();
  samples.forEach((id, index) => {
    // A sample's delta is the time since the previous sample, so it belongs to that sample.
    selfUs.set(id, (selfUs.get(id) ?? 0) + (timeDeltas[index + 1] ?? 0));
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const entries = new Map<string, Entry>();
  const childIds = new Set(nodes.flatMap(({ children }) => children ?? []));

  const walk = (id: number, above: ReadonlySet<Entry>): number => {
    const node = byId.get(id);
    if (node === undefined) return 0;
    const entry = entryOf(entries, node.callFrame);
    const inside = new Set(above).add(entry);
    const own = selfUs.get(id) ?? 0;
    entry.selfUs += own;
    let total = own;
    for (const child of node.children ?? []) total += walk(child, inside);
    // A function that calls itself counts once.
    if (!above.has(entry)) entry.totalUs += total;
    return total;
  };
  for (const { id } of nodes) if (!childIds.has(id)) walk(id, new Set());
  return [...entries.values()].filter(({ title }) => title !== '(idle)' && title !== '(root)');
}

function entryOf(entries: Map<string, Entry>, frame: CallFrame): Entry {
  const { functionName, url, lineNumber } = frame;
  const key = `${functionName} ${url}:${String(lineNumber)}`;
  let entry = entries.get(key);
  if (entry === undefined) {
    const file = url.replace(/^file:\/\//, '').replace(/^.*\/node_modules\//, '');
    const shortened = file.replace(`${process.cwd()}/`, '');
    entry = {
      title: functionName === '' ? '(anonymous)' : functionName,
      place: url === '' ? '' : `${shortened}:${String(lineNumber + 1)}`,
      room: roomOf(functionName, url),
      selfUs: 0,
      totalUs: 0,
    };
    entries.set(key, entry);
  }
  return entry;
}

function roomOf(functionName: string, url: string): string {
  if (functionName === '(garbage collector)') return 'garbage collector';
  if (url === '') return 'native';
  if (url.startsWith('node:')) return 'Node.js';
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  if (dependency !== undefined) return dependency;
  const own = /\/dist\/(?:([^/]+)\/)?(?:[^/]+\/)*[^/]+$/.exec(url);
  if (own !== null) return own[1] === undefined ? 'dist' : `dist/${own[1]}`;
  return 'bench';
}
