/** `sojourn` in this process, for commands that serve nothing: a process of its own costs half a second of CPU. */
import { join } from 'node:path';
import { check } from '../../src/cli/check.ts';
import { doctor } from '../../src/cli/doctor.ts';
import { runCli } from '../../src/cli/program.ts';
import { withOpenStore } from '../../src/cli/records/opened-store.ts';
import { perform, records } from '../../src/cli/records/records.ts';
import type { RecordRequest } from '../../src/cli/records/commands.ts';
import type { ServeSettings } from '../../src/cli/settings.ts';
import type { StdioRequest } from '../../src/cli/stdio.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { serve } from '../kit/serve.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import type { EndpointStore } from '../../src/endpoint/endpoint-store.ts';

interface Here {
  env?: Record<string, string>;
  /** Happens between what a command reads and what it writes. */
  between?: () => unknown;
  cwd?: string;
  stdio?: (request: StdioRequest, settings: ServeSettings) => Promise<number>;
  serve?: (module: string, settings: ServeSettings, passed: readonly string[]) => Promise<number>;
  /** In place of what the command does with records. */
  looks?: (request: RecordRequest) => number;
}

export async function runHere(
  args: readonly string[],
  { env = {}, between, cwd = '/', serve, stdio, looks }: Here = {},
) {
  const output = { stdout: '', stderr: '' };
  const out = (text: string): void => void (output.stdout += text);
  const err = (text: string): void => void (output.stderr += text);
  // The channel of a test's process does not count as work that a module waits for.
  const held = setInterval(() => {}, 1_000);
  const code = await runCli(args, {
    env,
    out,
    err,
    serve: serve ?? (() => Promise.reject(new Error('serve needs a process'))),
    stdio: stdio ?? (() => Promise.reject(new Error('stdio needs a process'))),
    prove: () => Promise.reject(new Error('prove needs a process')),
    check: (module) => check(module, cwd),
    doctor,
    records: async (request) => {
      if (looks !== undefined) return looks(request);
      if (between === undefined) return records(request, out);
      await withOpenStore(request, (store) => perform(pausing(store, between), request, out));
      return 0;
    },
  }).finally(() => clearInterval(held));
  return { code, ...output };
}

/** The settings of `serve` with these flags. Rejects with what stderr says of a wrong one. */
export async function settingsOf(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ServeSettings> {
  return new Promise((resolve, reject) => {
    const serve = async (_module: string, settings: ServeSettings): Promise<number> => {
      resolve(settings);
      return 0;
    };
    runHere(['serve', 'x', ...args], { env, serve }).then(
      ({ stderr }) => reject(new Error(stderr)),
      reject,
    );
  });
}

/** Waits for `between` before each write of a task or a key. */
function pausing(store: EndpointStore, between: () => unknown): EndpointStore {
  const paused = <T extends object>(records: T): T =>
    new Proxy(records, {
      get(_, name) {
        const method = Reflect.get(records, name) as (...given: unknown[]) => unknown;
        return async (...given: unknown[]) => {
          if (name === 'end') await between();
          return method.apply(records, given);
        };
      },
    });
  return { ...store, once: paused(store.once), tasks: paused(store.tasks) };
}

/** A new SQLite file, and commands on it. */
export function newFile() {
  const file = join(temporaryFolder(), 's.db');
  const env = { SOJOURN_STORE: `sqlite:${file}` };
  return {
    file,
    env,
    /** Serves on it in this process. */
    serve: (server: Parameters<typeof serve>[0], options: McpEndpointOptions = {}) =>
      serve(server, { store: sqlite(file), ...options }),
    run: (...args: string[]) => runHere(args, { env }),
  };
}

export const linesOf = (text: string): Array<Record<string, unknown>> =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
