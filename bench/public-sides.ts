/** The servers of the published comparison, each with the same tools, and how each is started. */
import { readFileSync } from 'node:fs';
import { ProgramProcess } from './program-process.ts';
import { buildProgram, type ProgramId } from './programs.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess, type ServerScript } from './server-process.ts';

/** A running server, whatever language it is written in. */
export interface PublicServer {
  readonly port: number;
  readonly pid: number;
  /** Collects garbage, where there is a collector. */
  collect(): Promise<void>;
  stop(): Promise<void>;
}

export interface PublicSide {
  readonly id: string;
  readonly title: string;
  /** Its name in the table of idle sessions; undefined: it has none, or another side has the same. */
  readonly idle?: string;
  start(env: Readonly<Record<string, string>>): Promise<PublicServer>;
}

export const FOLDER = '../../tools/others/public';

function published(): ServerScript & { title: string } {
  const manifest = new URL('../tools/others/package.json', import.meta.url);
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies: Record<string, string> };
  const sdk = dependencies['@modelcontextprotocol/sdk'] ?? '';
  return { title: `their Node server: SDK ${sdk}, Express`, script: `${FOLDER}/published.mjs` };
}

interface NodeServer extends PublicServer {
  /** The number of sessions that have not hibernated; sojourn's alone. */
  live(): Promise<number>;
}

async function startNode(runtime: Runtime, server: ServerScript): Promise<NodeServer> {
  const started = await ServerProcess.start(runtime, { ...server, nodeFlags: ['--expose-gc'] });
  return {
    port: started.port,
    pid: started.pid,
    collect: async () => void (await started.ask('settledMemory')),
    live: async () => started.ask<number>('live'),
    stop: async () => started.stop(),
  };
}

/** sojourn with a keep-alive pool. */
export const startOurs = async (
  runtime: Runtime,
  env: Readonly<Record<string, string>>,
  options: Readonly<Record<string, unknown>> = {},
  io = 'pool',
): Promise<NodeServer> =>
  startNode(runtime, {
    script: `${FOLDER}/sojourn.mjs`,
    // Above the idle sessions that are opened, so that none ends.
    env: { ...env, PUBLIC_IO: io, BENCH_OPTIONS: JSON.stringify({ maxIdleSessionCount: 100_000, ...options }) },
  });

/** The sides in Node.js of `only` (empty: all), and a side for each of `servers`. */
export async function findSides(
  runtime: Runtime,
  only: readonly string[],
  servers: readonly ProgramId[],
): Promise<PublicSide[]> {
  const { title, ...theirs } = published();
  const sides: PublicSide[] = [
    { id: 'published', title, start: async (env) => startNode(runtime, { ...theirs, env }) },
    {
      id: 'ours',
      title: 'sojourn, the same I/O libraries',
      start: async (env) => startOurs(runtime, env, {}, 'fetch'),
    },
    {
      id: 'ours-pool',
      title: 'sojourn, a keep-alive pool',
      idle: 'sojourn',
      start: async (env) => startOurs(runtime, env),
    },
    {
      id: 'ours-stateless',
      title: 'sojourn, a keep-alive pool, without sessions',
      start: async (env) => startOurs(runtime, env, { sessionMode: 'stateless' }),
    },
  ];
  const chosen = sides.filter(({ id }) => only.length === 0 || only.includes(id));
  for (const id of servers) {
    const program = await buildProgram(id);
    const start = async (env: Readonly<Record<string, string>>) => ProgramProcess.start(program, env);
    chosen.push({ id, title: program.title, idle: program.title, start });
  }
  return chosen;
}
