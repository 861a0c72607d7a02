/** Processes that serve from one store, one after the other or at the same time. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { program, startCli } from './cli-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

export interface DeploymentOptions {
  /** A new SQLite file. */
  store?: string;
  env?: Record<string, string>;
  /** A module of `processes/`; by default `durable-server.mjs`. */
  server?: string;
}

/** Processes of one server module on one store. `happened`: what its tools did, in all of them. */
export function deployment({
  store,
  env: shared = {},
  server = 'durable-server.mjs',
}: DeploymentOptions = {}) {
  const folder = temporaryFolder();
  const effects = join(folder, 'effects');
  const url = store ?? `sqlite:${join(folder, 's.db')}`;
  /** `from`: another build than the one under test. */
  const start = async (env: Record<string, string> = {}, from?: string) => {
    const args = ['serve', program(server), '--store', url, '--port', '0'];
    const cli = startCli(args, {
      env: { EFFECTS: effects, ...shared, ...env },
      ...(from !== undefined && { from }),
    });
    return { cli, url: await cli.url() };
  };
  const happened = (): string[] => {
    try {
      return readFileSync(effects, 'utf8').split('\n').filter(Boolean);
    } catch {
      return [];
    }
  };
  return { start, happened };
}

export async function kill({ kill: signal, ended }: ReturnType<typeof startCli>): Promise<void> {
  signal('SIGKILL');
  await ended();
}
