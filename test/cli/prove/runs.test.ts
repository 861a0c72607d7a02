// @module-tag matrix
/** Whole runs of `sojourn prove`: it finds each planted fault, and nothing where there is none. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { serverKinds, startServer } from '../../kit/servers/index.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';
import { startCli } from '../cli-process.ts';
import { marked } from './marked.ts';

const FAULTY = join(import.meta.dirname, 'processes/faulty-server.mjs');
const EVERYTHING = join(import.meta.dirname, '../../../examples/everything/server.ts');
const TIMEOUT_MS = 300_000;

interface Report {
  readonly isFine: boolean;
  readonly twice: number;
  readonly processesLeft: number;
  readonly found: readonly { readonly what: string; readonly tool?: string }[];
  readonly clients: readonly {
    readonly kind: string;
    readonly calls: number;
    readonly hung: number;
    readonly failed: number;
    readonly reasons: object;
  }[];
}

async function prove(server: string, args: readonly string[], env: Record<string, string> = {}) {
  const cwd = join(import.meta.dirname, '../../..');
  const { code, stdout, stderr } = await startCli(['prove', server, '--json', ...args], {
    cwd,
    env,
  }).ended();
  expect(stderr).toBe('');
  return { code, report: JSON.parse(stdout) as Report };
}

const FAULTS = [
  [
    'a counter in a variable of the module',
    'counter',
    { what: 'state in the process', tool: 'counter' },
    {},
  ],
  ['a map of sessions', 'visits', { what: 'state in the process', tool: 'visits' }, {}],
  ['a tool without hints', 'unhinted', { what: 'no hints', tool: 'unhinted' }, {}],
  ['a handler that blocks the loop', 'block', { what: 'blocked', tool: 'block' }, {}],
  [
    'a handler that ignores its drain',
    'stubborn',
    { what: 'late drain', tool: 'stubborn' },
    { SOJOURN_DRAIN_TIMEOUT_MS: '2000' },
  ],
] as const;

test.each(FAULTS)(
  '%s is found, and no other fault',
  { timeout: TIMEOUT_MS },
  async (_, tool, fault, env) => {
    const call = tool === 'unhinted' ? ['--call', tool] : [];
    const { code, report } = await prove(FAULTY, ['--seconds', '30', ...call], {
      ...env,
      FAULTS: tool,
    });
    expect(report.found).toMatchObject([fault]);
    expect(report).toMatchObject({ twice: 0, processesLeft: 0, isFine: false });
    expect(code).toBe(1);
  },
);

const NOTHING = { isFine: true, twice: 0, found: [], processesLeft: 0 };

describe('in examples/everything nothing is found, lost or left', () => {
  const expectNothing = async (args: readonly string[]): Promise<void> => {
    const { code, report } = await prove(EVERYTHING, ['--seconds', '30', ...args]);
    expect(report).toMatchObject(NOTHING);
    expect(report.clients.map(({ kind }) => kind)).toEqual([
      '2025, resumes',
      '2025, does not resume',
      '2026-07-28',
    ]);
    for (const { calls } of report.clients) expect(calls).toBeGreaterThan(50);
    expect(code).toBe(0);
  };

  test('on SQLite', { timeout: TIMEOUT_MS }, () => expectNothing([]));

  test.each(serverKinds)('on %s', { timeout: TIMEOUT_MS }, async (kind) => {
    const server = await startServer(kind);
    try {
      await expectNothing(['--store', server.url]);
    } finally {
      await server.close();
    }
  });
});

test.each([...Array(12).keys()].flatMap((n) => [['SIGKILL', n] as const, ['SIGTERM', n] as const]))(
  'killed by %s after %i × 2 s it leaves no process and no file',
  { timeout: TIMEOUT_MS },
  async (signal, n) => {
    const folder = temporaryFolder();
    const env = { TMPDIR: folder, FAULTS: 'unhinted' };
    const run = startCli(['prove', FAULTY, '--seconds', '20'], { cwd: folder, env });
    await new Promise((done) => setTimeout(done, n * 2_000 + 100));
    run.kill(signal);
    await run.ended();
    await until(() => marked(folder).length === 0, { timeoutMs: 10_000, what: 'no process' });
    await until(() => readdirSync(folder).length === 0, { what: 'an empty folder' });
  },
);
