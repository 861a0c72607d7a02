import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findRuntime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { formatTable } from './table.ts';

// npx tsx bench/heap.ts: what an idle session consists of, by kind of object, on top of the SDK's own objects.

const count = 2_000;

interface Kind {
  objects: number;
  bytes: number;
}

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: string[]; readonly node_types: [string[]] } };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

async function kindsOf(side: string, node: string): Promise<Map<string, Kind>> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const path = join(folder, 'sessions.heapsnapshot');
  const server = await ServerProcess.start(findRuntime(node), {
    script: 'idle-sessions.mjs',
    nodeFlags: ['--expose-gc'],
  });
  try {
    await server.ask('measure', { side, count, warmUp: 100, snapshot: path });
    return kindsIn(JSON.parse(readFileSync(path, 'utf8')) as Snapshot);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function kindsIn({ snapshot: { meta }, nodes, strings }: Snapshot): Map<string, Kind> {
  const width = meta.node_fields.length;
  const at = (field: string): number => meta.node_fields.indexOf(field);
  const [type, name, size] = [at('type'), at('name'), at('self_size')];
  const kinds = new Map<string, Kind>();
  for (let node = 0; node < nodes.length; node += width) {
    const typeName = meta.node_types[0][nodes[node + type] ?? 0] ?? '';
    const ownName = strings[nodes[node + name] ?? 0] ?? '';
    const title = typeName.includes('string') ? typeName : `${typeName} ${ownName.slice(0, 60)}`;
    const kind = kinds.get(title) ?? { objects: 0, bytes: 0 };
    kind.objects++;
    kind.bytes += nodes[node + size] ?? 0;
    kinds.set(title, kind);
  }
  return kinds;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      side: { type: 'string', default: 'ours' },
      node: { type: 'string', default: process.execPath },
      top: { type: 'string', default: '40' },
    },
  });
  const sdk = await kindsOf('sdk', values.node);
  const side = await kindsOf(values.side, values.node);
  const rows = [...side]
    .map(([title, { objects, bytes }]) => {
      const base = sdk.get(title);
      return {
        title,
        objects: (objects - (base?.objects ?? 0)) / count,
        bytes: (bytes - (base?.bytes ?? 0)) / count,
      };
    })
    .filter(({ objects }) => Math.abs(objects) >= 0.5)
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, Number(values.top))
    .map(({ title, objects, bytes }) => [title, bytes.toFixed(0), objects.toFixed(1)]);
  console.log(`${values.side}, per session on top of the SDK's own objects\n`);
  console.log(formatTable([['kind', 'bytes', 'objects'], ...rows]));
}

await main();
