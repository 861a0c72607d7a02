/** Resident memory of idle sessions, each after `initialize` and `notifications/initialized`. */
import { setTimeout as rest } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { rssBytesOf } from './process-usage.ts';
import { type PublicServer, type PublicSide, startOurs } from './public-sides.ts';
import { openSessionAt } from './raw-session.ts';
import type { Runtime } from './runtimes.ts';

export interface IdleSessions {
  readonly title: string;
  /** Per session, as the process is after the last session was opened. */
  readonly residentBytes: number;
  /** The same after a collection of its garbage. */
  readonly collectedBytes: number;
}

export const IDLE_COUNT = 10_000;
const WARM_UP = 500;
const CONNECTIONS = 16;
/** Of this revision on, sojourn keeps the events of a session. */
export const IDLE_VERSION = '2025-06-18';
const HIBERNATE_AFTER_MS = 1_000;

/** Each side in a process of its own, one after the other. sojourn's also after its sessions have hibernated. */
export async function measureIdle(
  runtime: Runtime,
  sides: readonly PublicSide[],
  env: Readonly<Record<string, string>>,
  progress: (text: string) => void,
): Promise<IdleSessions[]> {
  const found: IdleSessions[] = [];
  const measure = async (title: string, server: PublicServer, settled = async () => {}): Promise<void> => {
    progress(`public, ${IDLE_COUNT.toLocaleString('en')} idle sessions: ${title}`);
    try {
      await open(server.port, WARM_UP);
      await settled();
      await server.collect();
      const before = rssBytesOf(server.pid);
      await open(server.port, IDLE_COUNT);
      await settled();
      const after = rssBytesOf(server.pid);
      await server.collect();
      const each = (bytes: number): number => (bytes - before) / IDLE_COUNT;
      found.push({ title, residentBytes: each(after), collectedBytes: each(rssBytesOf(server.pid)) });
    } finally {
      await server.stop();
    }
  };
  for (const side of sides) {
    if (side.idle === undefined) continue;
    await measure(side.idle, await side.start(env));
    if (side.id !== 'ours-pool') continue;
    const server = await startOurs(runtime, env, { hibernateAfterMs: HIBERNATE_AFTER_MS });
    await measure(`${side.idle}, hibernated`, server, async () => {
      while ((await server.live()) > 0) await rest(100);
    });
  }
  return found;
}

async function open(port: number, count: number): Promise<void> {
  let left = count;
  const workers = Array.from({ length: CONNECTIONS }, async () => {
    const connection = await Connection.open(port);
    while (left-- > 0) await openSessionAt(connection, IDLE_VERSION);
    connection.close();
  });
  await Promise.all(workers);
}
