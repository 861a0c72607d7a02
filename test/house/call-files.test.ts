/**
 * How many files of `src/` one call runs through: what a reader must open to follow it. `npm run call-files` prints the
 * figures and says what counts.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

type Figure = 'files' | 'leaves' | 'functions' | 'classes' | 'fields' | 'machines';
type Way = Readonly<Record<Figure, readonly string[]>>;

/**
 * The live call. A change may lower a figure. Raise one only with a reason that a reader of the code would accept. What
 * a link knows about its peer has its own file (`cluster/peer-signs.ts`). A resume waits for its turn
 * (`session/streams/replays.ts`) and counts in the requests of its user (`limits/request-limits.ts`).
 * Every answer says whether a page of another origin may read it (`http/guards.ts`).
 * What a request holds is charged until its handlers have settled (`RequestBytes` in `http/body.ts`).
 * The kind of a call is a value that no header tells (`inbound/inbound.ts`), and what answers a GET is a class instead
 * of four callbacks (`eras/legacy/get.ts`).
 * The steps of every way in have their own file (`eras/ladder.ts`), whose entries hold what the steps found out.
 * Both faces share what their exchanges hold and how they end (`http/face-exchange.ts`).
 * What enters a server by a private member of the SDK does so in the folder of those (`sdk/request-entry.ts`).
 * The states of a handler have a checked table (`session/calls/handler-work.ts`): one machine more is no loss.
 * A call knows the code of the application around it (`session/calls/around-requests.ts`).
 * The clock (`base/system.ts`) and the check of states (`base/transitions.ts`) were entered before too, in a folder
 * that is not counted: two files and two functions.
 */
const MOST: Readonly<Record<Exclude<Figure, 'leaves'>, number>> = {
  files: 53,
  functions: 41,
  classes: 35,
  fields: 128,
  machines: 3,
};

const WAYS = ['live', 'durable', 'relayed', 'resumed', 'modern', 'modern-resumable', 'modern-returning'];

test('a live call runs through at most so many files, functions, classes, mutable fields and state machines', async () => {
  const script = fileURLToPath(new URL('../../scripts/call-files.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--json']);
  const ways = JSON.parse(stdout) as Record<string, Way>;
  expect(Object.keys(ways)).toEqual(WAYS);
  for (const [name, way] of Object.entries(ways)) {
    console.log(
      `${name}: ${Object.entries(way)
        .map(([figure, all]) => `${all.length} ${figure}`)
        .join(', ')}`,
    );
    // The way was measured at all: each begins at the endpoint and ends in its response.
    expect(way.files, name).toEqual(expect.arrayContaining(['endpoint/endpoint.ts', 'http/node-exchange.ts']));
  }
  for (const [figure, most] of Object.entries(MOST)) {
    const entered = ways['live']?.[figure as Figure] ?? [];
    expect(entered.length, `${figure}: ${entered.join(' ')}`).toBeLessThanOrEqual(most);
  }
});
