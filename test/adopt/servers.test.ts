// @module-tag matrix
/**
 * Published servers (`servers.json`, in pinned versions), moved onto sojourn and used by official clients over restarts.
 * Each server is installed in an app, its author's changes are made, and it goes through the stages. `npm run adopt --
 * -t TEXT`: only the servers whose name contains it.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { placeOf } from './app-folder.ts';
import { ownAnswer, type PublishedServer, SERVERS, StagesRun } from './stages.ts';

const modules = fileURLToPath(new URL('servers/', import.meta.url));

test.each(SERVERS)('$name', { timeout: 900_000 }, async (server) => {
  const place = await placeOf(server);
  const expected = server.call.expect === undefined ? await ownAnswer(server, place) : undefined;
  const way = {
    before: ['serve', adopt(server, place.app)],
    after: server.args ?? [],
    isOnStdio: false,
  };
  const run = new StagesRun(server, place, way, expected);
  expect(await run.all()).toEqual([]);
});

/** Makes the changes of the author. Returns the module, relative to the folder. */
function adopt({ edits, end, module }: PublishedServer, folder: string): string {
  if (edits === undefined) {
    cpSync(join(modules, module), join(folder, module));
    return module;
  }
  const path = join(folder, 'node_modules', module);
  let text = readFileSync(path, 'utf8');
  for (const [from, to] of edits) {
    if (text.split(from).length !== 2)
      throw new Error(`${module} does not hold once: ${from.trim().split('\n')[0]}`);
    text = text.replace(from, () => to);
  }
  writeFileSync(path, end === undefined ? text : `${text}\n${end}\n`);
  return `node_modules/${module}`;
}
