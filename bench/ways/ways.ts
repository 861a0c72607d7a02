/** What a reader of a call must follow, as figures: a gauge, which fails where a way cannot be gone any more. */
import { afterAll, test } from 'vitest';
import { turns } from '../../test/kit/until.ts';
import { CALLS, WALKS } from '../../test/kit/walks.ts';
import { formatTable } from '../../src/cli/prove/table.ts';
import type { Entry } from './note-entries.ts';

/** What runs after the answer, in the turns of the event loop that follow, belongs to the call. */
const TURNS = 20;

/** The functions that run, in the order in which they are entered. */
async function entriesOf(call: () => Promise<unknown>): Promise<Entry[]> {
  const entries: Entry[] = [];
  Object.assign(globalThis, { noteEntry: (entry: Entry) => entries.push(entry) });
  await call();
  await turns(TURNS);
  Object.assign(globalThis, { noteEntry: undefined });
  return entries;
}

/** The entries of one file in a row are one visit. */
function visitsOf(entries: readonly Entry[]): Entry[][] {
  const visits: Entry[][] = [];
  for (const entry of entries) {
    const last = visits.at(-1);
    if (last?.[0]?.file === entry.file) last.push(entry);
    else visits.push([entry]);
  }
  return visits;
}

function figuresOf(entries: readonly Entry[]): number[] {
  const files = new Set(entries.map(({ file }) => file));
  const functions = new Set(
    entries.map(({ file, name, of }) => `${file} ${of?.className} ${name}`),
  );
  const classes = new Map(
    entries.flatMap(({ file, of }) => (of ? [[`${file} ${of.className}`, of.mutable]] : [])),
  );
  const mutable = [...classes.values()].reduce((sum, fields) => sum + fields, 0);
  const moves = visitsOf(entries).length;
  return [files.size, functions.size, classes.size, mutable, moves, moves - files.size];
}

const HEADER = ['', 'files', 'functions', 'classes', 'mutable fields', 'moves', 'moves back'];
const rows: string[][] = [HEADER];

test.each(Object.entries(WALKS))('%s', async (title, { open }) => {
  const { before, call } = await open();
  const calls: Entry[][] = [];
  for (let n = 0; n < CALLS; n++) {
    await before?.();
    calls.push(await entriesOf(call));
  }
  // The first call finds nothing warm. Between two instances a frame may arrive in one piece or in two.
  const warm = calls.slice(1).toSorted((a, b) => a.length - b.length);
  const entries = warm[warm.length / 2] ?? [];
  rows.push([title, ...figuresOf(entries).map(String)]);
  const lines = visitsOf(entries).map(
    (visit) => `  ${visit[0]?.file}: ${visit.map(({ name }) => name).join(', ')}`,
  );
  console.log(`${title}\n${lines.join('\n')}\n`);
});

afterAll(() => console.log(formatTable(rows)));
