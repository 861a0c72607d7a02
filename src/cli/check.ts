/**
 * `sojourn check <module>`: loads a module as `serve` does, asks it as one client of each era, starts it anew while a
 * session is open, and prints what the clients found and what the log warned of.
 *
 * Its sessions are in a file that is removed. `auth`, `store` and `allowedHosts` of the module are left out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import { resolveOptions } from '../options/resolve.ts';
import { isModern, servedVersions } from '../protocol/versions.ts';
import { sqlite } from '../stores/sqlite/index.ts';
import { clientOf, type Finding, findingOf, type Session } from './check-client.ts';
import { collectingLogger } from './collecting-logger.ts';
import { EXIT, Failure, reason } from './failure.ts';
import { printable } from './records/printing.ts';
import { loadServerModule } from './server-module.ts';

export interface CheckRequest {
  readonly module: string;
  readonly json: boolean;
}

/** What one client saw. */
interface Seen {
  readonly client: '2025' | 'after a restart' | '2026-07-28';
  readonly found?: Finding;
  readonly problem?: string;
}

/** Resolves with the exit code. */
export async function check({ module, json }: CheckRequest, cwd: string, out: (text: string) => void): Promise<number> {
  const warnings = new Set<string>();
  const logger = collectingLogger(warnings);
  const { server, options } = await loadServerModule(module, { cwd, logger, worker: undefined });
  const { auth, store, allowedHosts, ...own } = options;
  let resolved;
  try {
    resolveOptions(options);
    resolved = resolveOptions({ ...own, logger });
  } catch (error) {
    throw new Failure(`wrong options in ${module}: ${reason(error)}`, { cause: error });
  }
  const versions = servedVersions(resolved.sessionMode, resolved.supportedProtocolVersions);
  const { createMcpEndpoint } = await import('../index.ts');
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-check-'));
  const file = join(folder, 'sessions.db');
  let seen: readonly Seen[];
  try {
    seen = await look(versions, () => createMcpEndpoint(server, { ...own, logger, store: sqlite(file) }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const given = { auth, store, allowedHosts };
  const leftOut = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const report = { seen, warnings: [...warnings], leftOut };
  out(json ? `${JSON.stringify(report)}\n` : printed(module, report));
  return seen.some(({ problem }) => problem !== undefined) ? EXIT.failed : EXIT.ok;
}

/** `serve` makes an endpoint on the store of the one before, as the next process does. */
async function look(versions: readonly string[], serve: () => McpEndpoint): Promise<readonly Seen[]> {
  const session: Session = {};
  const [old, modern] = await during(serve(), async (endpoint) => [
    versions.some((version) => !isModern(version)) ? await seenBy('2025', endpoint, session) : undefined,
    versions.some(isModern) ? await seenBy('2026-07-28', endpoint) : undefined,
  ]);
  const again =
    session['mcp-session-id'] !== undefined && old?.found !== undefined
      ? await during(serve(), (endpoint) => seenBy('after a restart', endpoint, session, old.found))
      : undefined;
  return [old, again, modern].filter((one) => one !== undefined);
}

async function during<T>(endpoint: McpEndpoint, use: (endpoint: McpEndpoint) => Promise<T>): Promise<T> {
  try {
    const result = await use(endpoint);
    await endpoint.drain({ timeoutMs: 0 });
    return result;
  } finally {
    await endpoint.close();
  }
}

/** `before`: what the session found before the restart. */
async function seenBy(
  client: Seen['client'],
  endpoint: McpEndpoint,
  session?: Session,
  before?: Finding,
): Promise<Seen> {
  try {
    const found = await findingOf(clientOf(endpoint, session), session === undefined, before);
    const problem = before && difference(namesOf(before), namesOf(found));
    return problem === undefined ? { client, found } : { client, found, problem };
  } catch (error) {
    return { client, problem: reason(error) };
  }
}

const namesOf = ({ lists }: Finding): string[] => Object.values(lists).flat();

/** How the lists of a session differ after a restart. */
function difference(before: readonly string[], after: readonly string[]): string | undefined {
  const lost = before.filter((name) => !after.includes(name));
  const more = after.filter((name) => !before.includes(name));
  if (lost.length === 0 && more.length === 0) return undefined;
  const parts = [lost.length > 0 && `lacks ${lost.join(', ')}`, more.length > 0 && `also has ${more.join(', ')}`];
  return `the session ${parts.filter(Boolean).join(' and ')}: make the lists in the factory, from session.state`;
}

const CLIENTS: Readonly<Record<Seen['client'], string>> = {
  '2025': '2025 client',
  'after a restart': '  after a restart',
  '2026-07-28': '2026-07-28 client',
};

interface Report {
  readonly seen: readonly Seen[];
  /** Lines of the log from `warn` on, each once. */
  readonly warnings: readonly string[];
  readonly leftOut: readonly string[];
}

function printed(module: string, { seen, warnings, leftOut }: Report): string {
  const { server = 'a server', lists = {} } = seen.find(({ found }) => found !== undefined)?.found ?? {};
  const rows: Array<readonly [string, string]> = seen.map(({ client, found, problem }) => [
    CLIENTS[client],
    problem ?? (client === 'after a restart' ? 'the session continues, with the same lists' : counts(found?.lists)),
  ]);
  for (const [name, items] of Object.entries(lists)) if (items.length > 0) rows.push([name, items.join(', ')]);
  if (leftOut.length > 0) rows.push(['not checked', `${leftOut.join(', ')} of the module`]);
  for (const warning of warnings) rows.push(['warning', warning]);
  const problems = seen.filter(({ problem }) => problem !== undefined).length;
  const end = problems === 0 ? 'No problem found.' : `${problems} ${problems === 1 ? 'problem' : 'problems'} found.`;
  const table = rows.map(([name, text]) => `  ${name.padEnd(20)}${printable(text)}\n`).join('');
  return `${printable(`${module}: ${server}`)}\n\n${table}\n${end}\n`;
}

function counts(lists: Finding['lists'] = {}): string {
  const some = Object.entries(lists).filter(([, { length }]) => length > 0);
  const parts = some.map(([name, { length }]) => `${length} ${length === 1 ? name.replace(/s$/, '') : name}`);
  return parts.length === 0 ? 'connects' : `connects, and lists ${parts.join(', ')}`;
}
