/**
 * `npm run adopt [-- TEXT]`: published servers (`servers.json`, in pinned versions), moved onto sojourn and used by
 * official clients over restarts. Each server is installed in an app, its author's changes are made, and it goes through
 * the stages. TEXT: only the servers whose name contains it.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installApp } from './app-folder.ts';
import { Place } from './place.ts';
import { ownAnswer, type PublishedServer, runStages } from './stages.ts';

interface Tried {
  readonly failures: readonly string[];
  /** Why the server could not be started at all. */
  readonly refused?: string;
}

const SERVERS = JSON.parse(
  readFileSync(new URL('servers.json', import.meta.url), 'utf8'),
) as readonly PublishedServer[];
const modules = fileURLToPath(new URL('servers/', import.meta.url));

/** Prints a line for each server, and resolves with how many do not come out as expected. */
async function run(filter = ''): Promise<number> {
  let failed = 0;
  const chosen = SERVERS.filter(({ name }) => name.includes(filter));
  for (const server of chosen) {
    const { refused, failures } = await tryServer(server);
    const { name, packages, doesNotStart } = server;
    const passes =
      refused === undefined
        ? failures.length === 0
        : doesNotStart !== undefined && new RegExp(doesNotStart).test(refused);
    const word = !passes ? 'FAIL' : refused === undefined ? 'pass' : 'none';
    console.log(`${word}  ${name} (${packages[0]})`);
    for (const line of refused === undefined ? failures : [refused]) console.log(`      ${line}`);
    if (!passes) failed += 1;
  }
  console.log(`${chosen.length - failed} of ${chosen.length} servers come out as expected`);
  return failed;
}

async function tryServer(server: PublishedServer): Promise<Tried> {
  let place: Place | undefined;
  try {
    place = new Place(await installApp(server.name.replace(/\W+/g, '-'), server.packages));
    restore(server, place.app);
    const expected = server.own === undefined ? undefined : await ownAnswer(server, place);
    if (server.doesNotStart !== undefined) throw new Error('it starts on stdio, against what the list says');
    return { failures: await runStages(server, place, adopt(server, place.app), expected) };
  } catch (error) {
    return { failures: [], refused: String(error instanceof Error ? error.message : error) };
  } finally {
    place?.close();
  }
}

const publishedFile = (path: string): string => `${path}.published`;

/** Undoes the changes that an earlier run made. */
function restore({ changes = [] }: PublishedServer, folder: string): void {
  for (const { file } of changes) {
    const path = join(folder, 'node_modules', file);
    if (existsSync(publishedFile(path))) cpSync(publishedFile(path), path);
  }
}

/** Makes the changes of the author. Returns the module, relative to the folder. */
function adopt({ changes, module }: PublishedServer, folder: string): string {
  if (changes === undefined) {
    cpSync(join(modules, module), join(folder, module));
    return module;
  }
  for (const { file, edits, end } of changes) {
    const path = join(folder, 'node_modules', file);
    cpSync(path, publishedFile(path));
    let text = readFileSync(path, 'utf8');
    for (const [from, to] of edits) {
      if (text.split(from).length !== 2) throw new Error(`${file} does not hold once: ${from.trim().split('\n')[0]}`);
      text = text.replace(from, () => to);
    }
    writeFileSync(path, end === undefined ? text : `${text}\n${end}\n`);
  }
  return `node_modules/${module}`;
}

process.exitCode = (await run(process.argv[2])) > 0 ? 1 : 0;
