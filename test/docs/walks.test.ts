/**
 * The ways of a call in ARCHITECTURE.md. Each row of their tables names a file and a function, and a real call of that
 * way runs it: a walk is wrong where one was renamed or moved, or is no longer on the way.
 */
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type Member, serveFleet } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import type { RawClient } from '../kit/raw-client.ts';

const page = readFileSync(join(resolve(import.meta.dirname, '../..'), 'ARCHITECTURE.md'), 'utf8');

/** The rows of the table below a heading, each as `file function`. */
function walkOf(heading: string): string[] {
  const [, section = ''] = page.split(`\n### ${heading}\n`);
  const [table = ''] = section.split('\n#');
  return [...table.matchAll(/^\| `(src\/[\w/.-]+)` +\| `([#\w]+)` +\|/gm)].map(([, file, name]) => `${file} ${name}`);
}

/** The functions of `src/` that run during `work`, each as `file function`. */
async function ranDuring(work: () => Promise<void>): Promise<Set<string>> {
  const inspector = new Session();
  inspector.connect();
  try {
    await inspector.post('Profiler.enable');
    await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    // It begins the counts anew.
    await inspector.post('Profiler.takePreciseCoverage');
    await work();
    const { result } = await inspector.post('Profiler.takePreciseCoverage');
    const ran = result.flatMap(({ url, functions }) => {
      const file = /src\/[\w/.-]+\.ts/.exec(url)?.[0];
      if (file === undefined) return [];
      const called = functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
      // V8 writes the class before the name of some private methods.
      return called.map(({ functionName }) => `${file} ${functionName.replace(/^.*\./, '')}`);
    });
    return new Set(ran);
  } finally {
    inspector.disconnect();
  }
}

const ECHO = tool('echo', { text: 'hello' });

async function called({ message }: { readonly message: unknown }): Promise<void> {
  expect(textOf(message)).toBe('hello');
}

/** What each way needs before its call. `a` owns the session of `onA`; `onB` speaks in it through the other instance. */
interface Fleet {
  readonly a: Member;
  readonly onA: RawClient;
  readonly onB: RawClient;
}

const WAYS: Readonly<Record<string, (fleet: Fleet) => Promise<() => Promise<void>>>> = {
  'The session is live here':
    async ({ onA }) =>
    async () =>
      called(await onA.call(...ECHO)),
  'Another instance owns it':
    async ({ onB }) =>
    async () =>
      called(await onB.call(...ECHO)),
  'No living owner': async ({ a, onB }) => {
    await a.endpoint.close();
    return async () => called(await onB.call(...ECHO));
  },
  '2026-07-28': async ({ a }) => {
    const client = a.client();
    return async () => called(await callModern(client, ...ECHO));
  },
};

test.each(Object.entries(WAYS))('%s: its call runs each function of its walk', async (heading, prepare) => {
  const [a, b] = await serveFleet(2, {}, [{ face: 'node' }, { face: 'node' }]);
  const onA = await a.openSession();
  const call = await prepare({ a, onA, onB: b.join(onA) });
  const walk = walkOf(heading);
  expect(walk.length).toBeGreaterThan(5);
  const ran = await ranDuring(call);
  expect(walk.filter((step) => !ran.has(step))).toEqual([]);
});
