/** The scripted program behind an endpoint of this process, and its processes. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { orUndefined } from '../../src/base/or-undefined.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { Place } from '../../src/stdio/place.ts';
import { Pool, type PoolOptions } from '../../src/stdio/pool.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { stdioServer, type StdioOptions } from '../../src/stdio/index.ts';
import { serve } from '../kit/serve.ts';

export const SCRIPTED = fileURLToPath(new URL('programs/scripted.mjs', import.meta.url));

/** Keys of users are their names. */
export const auth = {
  verify: (token: string) => ({
    token,
    clientId: 'c',
    scopes: [],
    expiresAt: Infinity,
    extra: { sub: token, email: `${token}@a.example` },
  }),
};
export const as = (user: string) => ({ headers: { authorization: `Bearer ${user}` } });

export const SMALLEST = fileURLToPath(new URL('programs/smallest.sh', import.meta.url));

interface Scripted extends Partial<StdioOptions> {
  /** Arguments of the program. */
  readonly words?: readonly string[];
}

/** `lines`: what the gateway logs. */
export async function serveScripted(
  { words = [], ...given }: Scripted = {},
  options: McpEndpointOptions = {},
) {
  const lines: string[] = [];
  const log = (fields: object, text: string): void =>
    void lines.push(`${text} ${JSON.stringify(fields)}`);
  const stdio = stdioServer({
    command: process.execPath,
    args: [SCRIPTED, ...words],
    logger: { debug: log, info: log, warn: log },
    ...given,
  });
  onTestFinished(() => stdio.close());
  return {
    stdio,
    lines,
    ...(await serve(stdio, { tasks: false, hookTimeoutMs: 60_000, ...options })),
  };
}

/** What the tool `look` tells of its child. */
export interface Looked {
  readonly pid: number;
  readonly count: number;
  readonly level: string;
  readonly uris: readonly string[];
  readonly hello: readonly string[];
  readonly roots?: readonly object[];
  readonly env: Readonly<Record<string, string>>;
}

/** Processes whose environment has this variable with this value: a mark that the children of a test inherit. */
export const marked = (variable: string, value: string): readonly number[] =>
  readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    const environment = orUndefined(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? '';
    return environment.split('\0').includes(`${variable}=${value}`) ? [Number(pid)] : [];
  });

/** Room for children: none starts. */
export function poolOnFakeTime(options: Partial<PoolOptions> = {}) {
  const time = createFakeTime();
  const made = new Pool({
    maxChildren: 4,
    childIdleTimeoutMs: 1e9,
    startMs: 1,
    maxWaitMs: 15_000,
    startWaitMs: 45_000,
    time,
    logger: { debug() {}, info() {}, warn() {} },
    ...options,
  });
  const place = (owner: string): Place =>
    made.place(
      { owner, command: () => ({ command: '', args: [], env: {}, cwd: undefined }) },
      undefined,
      true,
    );
  const enter = (of: Place, signal = new AbortController().signal): Promise<void> =>
    made.enter(of, signal);
  /** A child of this owner lives. */
  const lives = async (owner: string): Promise<Place> => {
    const own = place(owner);
    await enter(own);
    made.started(own);
    return own;
  };
  return { made, enter, time, place, lives };
}
