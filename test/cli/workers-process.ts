/** `sojourn serve --workers N` on a new SQLite file, and its processes one by one. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { program, startCli, type CliOptions, type LogLine } from './cli-process.ts';
import { openClient } from '../kit/listening.ts';
import { temporaryFolder } from '../kit/temporary.ts';

interface WorkersOptions extends CliOptions {
  module?: string;
  workers?: number;
  flags?: string[];
  /** Of an earlier start. */
  folder?: string;
  /** A URL. Default: an SQLite file in `folder`. */
  store?: string;
}

export function startWorkers({
  module = 'worker-server.mjs',
  workers = 2,
  flags = [],
  folder = temporaryFolder(),
  store = `sqlite:${join(folder, 's.db')}`,
  ...options
}: WorkersOptions = {}) {
  const where = options.fd === undefined ? ['--port', '0'] : [];
  const args = [
    'serve',
    program(module),
    '--workers',
    String(workers),
    '--store',
    store,
    ...where,
    ...flags,
  ];
  const cli = startCli(args, options);
  const listened = (): LogLine[] => cli.lines().filter(({ msg }) => msg === 'worker listens');
  const all = (): number[] => listened().map(({ worker_pid }) => Number(worker_pid));
  onTestFinished(async () => {
    cli.kill('SIGKILL');
    for (const pid of all().filter(isAlive)) process.kill(pid, 'SIGCONT');
    await until(() => !all().some(isAlive), { what: 'every worker to end' });
  });
  return {
    ...cli,
    folder,
    /** The endpoint's URL, once every worker listens. */
    async url(): Promise<string> {
      const url = await cli.url();
      await until(() => all().length >= workers, { what: 'every worker to listen' });
      return url;
    },
    /** The process ids that ever listened, in order. */
    all,
    /** The process that took a number last. */
    pid(worker: number): number {
      return Number(listened().findLast((line) => line.worker === worker)?.worker_pid);
    },
    /** Waits until another process than `before` listens under this number. */
    async replaced(worker: number, before: number): Promise<number> {
      await until(() => this.pid(worker) !== before, {
        timeoutMs: 60_000,
        what: `another worker ${worker}`,
      });
      return this.pid(worker);
    },
    /** Mailboxes of instances. */
    sockets: (): string[] => readdirSync(folder).filter((name) => name.endsWith('.sock')),
  };
}

export type Workers = ReturnType<typeof startWorkers>;

/** A process that has ended, but whose parent has not waited for it yet, is not alive. */
export const isAlive = (pid: number): boolean => !['', 'Z', 'X'].includes(stateOf(pid));

const isStopped = (pid: number): boolean => stateOf(pid) === 'T';

/** The letter that `ps` shows; `''`: there is no such process. */
function stateOf(pid: number): string {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' });
    return stdout.trim().slice(0, 1);
  }
  try {
    // Behind the name, which may hold anything.
    return /.*\) (\w)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}

/** A client with one connection, which one worker has; on `url` any worker may accept. */
export const pinned = (url: string, of?: RawClient): RawClient =>
  openClient(url, { sockets: 1, of });

/** The id of the instance that has its connection. */
export async function instanceOf(client: RawClient): Promise<string> {
  // A GET would close it: what a stream's client receives, every GET receives.
  const { status, body } = await client.post({}, { path: '/healthz' });
  expect(status).toBe(200);
  return (JSON.parse(body) as { instance: string }).instance;
}

/** A client whose connection this worker has: in that time the others cannot accept. */
export async function pinnedTo(workers: Workers, pid: number, of?: RawClient): Promise<RawClient> {
  const others = workers.all().filter((other) => other !== pid && isAlive(other));
  for (const other of others) process.kill(other, 'SIGSTOP');
  try {
    await until(() => others.every(isStopped), { what: 'the other workers to stand still' });
    const client = pinned(await workers.url(), of);
    await instanceOf(client);
    return client;
  } finally {
    for (const other of others) process.kill(other, 'SIGCONT');
  }
}
