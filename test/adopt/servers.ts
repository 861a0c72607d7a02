/**
 * Published servers, moved onto sojourn and used by official clients over restarts. Each server is installed
 * in an app, its author's changes are made, and it goes through the stages.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installApp, versionSeen } from './app-folder.ts';
import type { AdoptPart } from './part.ts';
import { Place } from './place.ts';
import { SERVERS, type PublishedServer } from './server-list.ts';
import { type Measured, ownAnswer, runStages } from './stages.ts';

interface Tried extends Measured {
  readonly sdkVersion: string;
  /** Lines that the author removes and adds. */
  readonly removed: number;
  readonly added: number;
  /** What the call answers on stdio, the author's own transport. */
  readonly ownAnswer?: string | undefined;
  /** Why the server could not be started at all. */
  readonly refused: string | undefined;
}

const modules = fileURLToPath(new URL('servers/', import.meta.url));

export const run: AdoptPart = async ({ filter, out }) => {
  const failed: string[] = [];
  const tried: Tried[] = [];
  for (const server of SERVERS.filter(({ name }) => filter === undefined || name.includes(filter))) {
    const result = await tryServer(server);
    tried.push(result);
    const passes =
      result.refused === undefined
        ? result.outcomes.every(({ failure }) => failure === undefined)
        : server.doesNotStart?.test(result.refused) === true;
    out(
      `${!passes ? 'FAIL' : result.refused === undefined ? 'pass' : 'none'}  ${server.name} (${server.packages[0]}, SDK ${result.sdkVersion}, −${result.removed} +${result.added} lines)`,
    );
    if (result.ownAnswer !== undefined) out(`      on stdio: ${result.ownAnswer.slice(0, 200)}`);
    if (result.refused !== undefined) out(`      ${result.refused}`);
    for (const { client, stage, failure } of result.outcomes) {
      if (failure !== undefined) out(`      ${client}, ${stage}: ${failure}`);
    }
    for (const note of result.notes) out(`      note: ${note}`);
    if (!passes) failed.push(server.name);
  }
  const started = tried.filter(({ refused }) => refused === undefined);
  out(`${tried.length - failed.length} of ${tried.length} servers come out as expected; ${started.length} started`);
  return failed;
};

async function tryServer(server: PublishedServer): Promise<Tried> {
  const own = server.packages[0] ?? '';
  const packageName = own.slice(0, own.lastIndexOf('@'));
  const nothing = { outcomes: [], notes: [], removed: 0, added: 0, refused: undefined };
  const sdkVersion = server.bundledSdk ?? '?';
  let tried: Tried = { ...nothing, sdkVersion };
  let place: Place | undefined;
  try {
    place = new Place(await installApp(server.name.replace(/\W+/g, '-'), server.packages));
    tried = { ...tried, sdkVersion: server.bundledSdk ?? versionSeen(place.app, packageName, server.sdk) ?? '?' };
    restore(server, place.app);
    const expected = server.own === undefined ? undefined : await ownAnswer(server, place);
    if (server.doesNotStart !== undefined) throw new Error('it starts on stdio, against what the list says');
    tried = { ...tried, ownAnswer: expected === undefined ? undefined : place.hide(expected) };
    const { module, removed, added } = adopt(server, place.app);
    tried = { ...tried, removed, added };
    return { ...tried, ...(await runStages(server, place, module, expected)) };
  } catch (error) {
    const message = String(error instanceof Error ? error.message : error);
    return { ...tried, refused: place?.hide(message) ?? message };
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

/** Makes the changes of the author. Resolves with the module, and how many lines were removed and added. */
function adopt(server: PublishedServer, folder: string): { module: string; removed: number; added: number } {
  const { changes, deletes = [], module } = server;
  let removed = deletes.reduce(
    (sum, file) => sum + linesOf(readFileSync(join(folder, 'node_modules', file), 'utf8')),
    0,
  );
  if (changes === undefined) {
    cpSync(join(modules, module), join(folder, module));
    return { module, removed, added: adoptedLines(readFileSync(join(modules, module), 'utf8')) };
  }
  let added = 0;
  for (const { file, edits, end } of changes) {
    const path = join(folder, 'node_modules', file);
    const original = publishedFile(path);
    cpSync(path, original);
    let text = readFileSync(original, 'utf8');
    for (const [from, to] of edits) {
      if (text.split(from).length !== 2) throw new Error(`${file} does not hold once: ${from.trim().split('\n')[0]}`);
      text = text.replace(from, () => to);
      const changed = changedLines(from, to);
      removed += changed.removed;
      added += changed.added;
    }
    if (end !== undefined) {
      text = `${text}\n${end}\n`;
      added += linesOf(end);
    }
    writeFileSync(path, text);
  }
  return { module: `node_modules/${module}`, removed, added };
}

/** Lines of code: neither empty nor a comment alone. */
const linesOf = (text: string): number =>
  text.split('\n').filter((line) => line.trim() !== '' && !/^\s*(?:\/\/|\/?\*)/.test(line)).length;

/** In a module of a framework the author's tools are above this comment, and are no change. */
const adoptedLines = (text: string): number => linesOf(text.slice(Math.max(0, text.indexOf('\n// In place of'))));

function changedLines(from: string, to: string): { removed: number; added: number } {
  const [before, after] = [from, to].map((text) => text.split('\n').filter((line) => line.trim() !== ''));
  return {
    removed: (before ?? []).filter((line) => !after?.includes(line)).length,
    added: (after ?? []).filter((line) => !before?.includes(line)).length,
  };
}
