/**
 * How many files of `src/` one call runs through: what a reader must open to follow it. `npm run call-files` prints the
 * figures and says what counts.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Way {
  readonly files: readonly string[];
  readonly classes: readonly string[];
  readonly machines: readonly string[];
}

/**
 * A change may lower a figure. Raise one only with a reason that a reader of the code would accept. What a link knows
 * about its peer has its own file (`cluster/peer-signs.ts`). A resume waits for its turn (`session/streams/replays.ts`)
 * and counts in the requests of its user (`limits/request-limits.ts`).
 * Every answer says whether a page of another origin may read it (`http/guards.ts`).
 * What a request holds is charged until its handlers have settled (`RequestBytes` in `http/body.ts`).
 * The kind of a call is a value that no header tells (`call/inbound.ts`), and what answers a GET is a class instead of
 * four callbacks (`eras/legacy/get.ts`).
 * The request of a call that can be resumed (`relay/sent-request.ts`) is apart from the reader of its answer.
 */
const MOST = {
  live: { files: 35, classes: 28, machines: 2 },
  durable: { files: 39, classes: 32, machines: 3 },
  relayed: { files: 51, classes: 42, machines: 4 },
  resumed: { files: 39, classes: 30, machines: 2 },
  modern: { files: 36, classes: 25, machines: 1 },
  'modern-resumable': { files: 45, classes: 32, machines: 2 },
  'modern-returning': { files: 46, classes: 33, machines: 2 },
} as const;

test('a call runs through at most so many files, classes and state machines', async () => {
  const script = fileURLToPath(new URL('../../scripts/call-files.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--json']);
  const ways = JSON.parse(stdout) as Record<string, Way>;
  expect(Object.keys(ways)).toEqual(Object.keys(MOST));
  for (const [way, most] of Object.entries(MOST)) {
    const { files, classes, machines } = ways[way] ?? { files: [], classes: [], machines: [] };
    const counted = { files: files.length, classes: classes.length, machines: machines.length };
    console.log(`${way}: ${counted.files} files, ${counted.classes} classes, ${counted.machines} machines`);
    // The way was measured at all: each begins at the endpoint and ends in its response.
    expect(files, way).toEqual(expect.arrayContaining(['endpoint/endpoint.ts', 'http/node-exchange.ts']));
    expect(counted.files, `${way}: ${files.join(' ')}`).toBeLessThanOrEqual(most.files);
    expect(counted.classes, `${way}: ${classes.join(' ')}`).toBeLessThanOrEqual(most.classes);
    expect(counted.machines, `${way}: ${machines.join(' ')}`).toBeLessThanOrEqual(most.machines);
  }
});
