/**
 * The ways of a call in ARCHITECTURE.md and in the page about programs on stdio. Each row of their
 * tables names a file and a function, and a real call of that way runs it: a walk is wrong where
 * one was renamed or moved, or is no longer on the way.
 */
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { WALKS } from '../kit/walks.ts';

const pages = ['ARCHITECTURE.md', 'docs/internals/programs.md']
  .map((page) => readFileSync(join(resolve(import.meta.dirname, '../..'), page), 'utf8'))
  .join('\n');

/** The rows of the table below a heading, each as `file function`. */
function walkOf(heading: string): string[] {
  const [, section = ''] = pages.split(new RegExp(`\\n##+ ${heading}\\n`));
  const [table = ''] = section.split('\n#');
  return [...table.matchAll(/^\| `(src\/[\w/.-]+)` +\| `([#\w]+)` +\|/gm)].map(
    ([, file, name]) => `${file} ${name}`,
  );
}

/** The functions of `src/` that run during `work`, each as `file function`. */
async function ranDuring(work: () => Promise<unknown>): Promise<Set<string>> {
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

const walked = Object.values(WALKS).flatMap(({ heading, open }) =>
  heading === undefined ? [] : [{ heading, open }],
);

test.each(walked)(
  '$heading: its call runs each function of its walk',
  async ({ heading, open }) => {
    const { call } = await open();
    const walk = walkOf(heading);
    expect(walk.length).toBeGreaterThan(5);
    const ran = await ranDuring(call);
    expect(walk.filter((step) => !ran.has(step))).toEqual([]);
  },
);
