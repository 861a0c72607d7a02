/**
 * Published servers, moved onto sojourn and used by official clients over restarts. Each server is installed
 * in an app, its author's changes are made, and it goes through the stages.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installApp, versionSeen } from './app-folder.ts';
import type { AdoptPart } from './part.ts';
import { SERVERS, type PublishedServer } from './server-list.ts';
import { writePage, type Tried } from './servers-page.ts';
import { clientsOf, runStages, STAGES, type Measured } from './stages.ts';

const modules = fileURLToPath(new URL('servers/', import.meta.url));

export const run: AdoptPart = async ({ filter, write, out }) => {
  const failed: string[] = [];
  const tried: Tried[] = [];
  for (const server of SERVERS.filter(({ name }) => filter === undefined || name.includes(filter))) {
    const result = await tryServer(server);
    tried.push(result);
    const passes = result.refused === undefined && result.outcomes.every(({ failure }) => failure === undefined);
    out(`${passes ? 'pass' : 'FAIL'}  ${server.name} (${server.packages[0]}, SDK ${result.sdkVersion})`);
    if (result.refused !== undefined) out(`      ${result.refused}`);
    for (const { client, stage, failure } of result.outcomes) {
      if (failure !== undefined) out(`      ${client}, ${stage}: ${failure}`);
    }
    for (const note of result.notes) out(`      note: ${note}`);
    if (!passes) failed.push(server.name);
  }
  if (write) writePage(tried);
  out(`${tried.length - failed.length} of ${tried.length} servers pass ${STAGES.length} stages`);
  return failed;
};

async function tryServer(server: PublishedServer): Promise<Tried> {
  const own = server.packages[0] ?? '';
  const packageName = own.slice(0, own.lastIndexOf('@'));
  const nothing: Measured = { outcomes: [], notes: [] };
  const base = { server, clients: clientsOf(server), sdkVersion: server.bundledSdk ?? '?', removed: 0, added: 0 };
  try {
    const folder = await installApp(server.name.replace(/\W+/g, '-'), server.packages);
    const sdkVersion = server.bundledSdk ?? versionSeen(folder, packageName, server.sdk) ?? '?';
    const { module, removed, added } = adopt(server, folder);
    const told = { ...base, sdkVersion, removed, added };
    try {
      return { ...told, ...(await runStages(server, folder, module)), refused: undefined };
    } catch (error) {
      return { ...told, ...nothing, refused: messageOf(error) };
    }
  } catch (error) {
    return { ...base, ...nothing, refused: messageOf(error) };
  }
}

const messageOf = (error: unknown): string => String(error instanceof Error ? error.message : error).slice(0, 500);

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
    const original = `${path}.published`;
    cpSync(path, original, { force: false });
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
