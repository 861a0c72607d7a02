/**
 * `sojourn check <module>`: loads a module as `serve` does, serves it to one client of each era at a free port of this
 * machine, starts it anew while a session is open, and prints what the clients found and what the log warned of.
 *
 * Its sessions are in a file that is removed. `auth`, `store` and `allowedHosts` of the module are left out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import type { McpEndpointOptions, ResolvedOptions } from '../options/endpoint-options.ts';
import { resolveOptions } from '../options/resolve.ts';
import { isModern, servedVersions } from '../protocol/versions.ts';
import { sqlite } from '../stores/sqlite/index.ts';
import { CheckClient, type Finding, type Lists } from './check-client.ts';
import { collectingLogger } from './collecting-logger.ts';
import { EXIT, Failure, reason } from './failure.ts';
import { loadServerModule, type ServerModule } from './server-module.ts';
import { printable } from './session-printout.ts';

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

interface Report {
  readonly seen: readonly Seen[];
  /** Lines of the log from `warn` on, each once. */
  readonly warnings: readonly string[];
}

/** Resolves with the exit code. */
export async function check({ module, json }: CheckRequest, cwd: string, out: (text: string) => void): Promise<number> {
  const warnings = new Set<string>();
  const logger = collectingLogger(warnings);
  const loaded = await loadServerModule(module, { cwd, logger, worker: undefined });
  const { auth, store, allowedHosts, ...own } = loaded.options;
  let resolved;
  try {
    resolveOptions(loaded.options);
    resolved = resolveOptions({ ...own, logger });
  } catch (error) {
    throw new Failure(`wrong options in ${module}: ${reason(error)}`, { cause: error });
  }
  const leftOut = Object.entries({ auth, store, allowedHosts }).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  const report = { seen: await look(loaded, { ...own, logger }, resolved), warnings: [...warnings] };
  out(json ? `${JSON.stringify({ ...report, leftOut })}\n` : printed(module, report, leftOut));
  return report.seen.some(({ problem }) => problem !== undefined) ? EXIT.failed : EXIT.ok;
}

async function look({ server }: ServerModule, options: McpEndpointOptions, resolved: ResolvedOptions): Promise<Seen[]> {
  const versions = servedVersions(resolved.sessionMode, resolved.supportedProtocolVersions);
  const { createMcpEndpoint } = await import('../index.ts');
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-check-'));
  const serve = (): McpEndpoint =>
    createMcpEndpoint(server, { ...options, store: sqlite(join(folder, 'sessions.db')) });
  try {
    return await lookTwice(versions, serve);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `serve` makes an endpoint on the store of the one before, as the next process does. */
async function lookTwice(versions: readonly string[], serve: () => McpEndpoint): Promise<Seen[]> {
  const seen: Seen[] = [];
  let session: CheckClient | undefined;
  await during(serve(), async (url) => {
    if (versions.some((version) => !isModern(version))) {
      session = new CheckClient(url, '2025');
      seen.push(await seenBy('2025', session));
    }
    if (versions.some(isModern)) seen.push(await seenBy('2026-07-28', new CheckClient(url, '2026')));
  });
  const [before] = seen;
  if (session?.hasSession !== true || before?.found === undefined) return seen;
  const { lists } = before.found;
  await during(serve(), async (url) => {
    const again = await seenBy('after a restart', new CheckClient(url, '2025', session));
    const problem = again.problem ?? (again.found && difference(lists, again.found.lists));
    seen.splice(1, 0, problem === undefined ? again : { ...again, problem });
  });
  return seen;
}

async function during(endpoint: McpEndpoint, use: (url: string) => Promise<void>): Promise<void> {
  try {
    const { url } = await endpoint.listen({ port: 0 });
    await use(url);
    await endpoint.drain({ timeoutMs: 0 });
  } finally {
    await endpoint.close();
  }
}

async function seenBy(client: Seen['client'], connection: CheckClient): Promise<Seen> {
  try {
    return { client, found: await connection.look() };
  } catch (error) {
    return { client, problem: reason(error) };
  }
}

/** How the lists of a session differ after a restart. */
function difference(before: Lists, after: Lists): string | undefined {
  const names = ({ tools = [], prompts = [], resources = [], resourceTemplates = [] }: Lists): string[] =>
    [tools, prompts, resources, resourceTemplates].flat();
  const [first, second] = [names(before), names(after)];
  const lost = first.filter((name) => !second.includes(name));
  const more = second.filter((name) => !first.includes(name));
  if (lost.length === 0 && more.length === 0) return undefined;
  const parts = [lost.length > 0 && `lacks ${lost.join(', ')}`, more.length > 0 && `also has ${more.join(', ')}`];
  return `the session ${parts.filter(Boolean).join(' and ')}: make the lists in the factory, from session.state`;
}

const CLIENTS: Readonly<Record<Seen['client'], string>> = {
  '2025': '2025 client',
  'after a restart': '  after a restart',
  '2026-07-28': '2026-07-28 client',
};

function printed(module: string, { seen, warnings }: Report, leftOut: readonly string[]): string {
  const { server = 'a server', lists = {} } = seen.find(({ found }) => found !== undefined)?.found ?? {};
  const rows: Array<readonly [string, string]> = seen.map(({ client, found, problem }) => [
    CLIENTS[client],
    problem ?? (client === 'after a restart' ? 'the session continues, with the same lists' : counts(found?.lists)),
  ]);
  for (const [name, items] of Object.entries(lists)) {
    const label = name === 'resourceTemplates' ? 'templates' : name;
    if (items.length > 0) rows.push([label, items.join(', ')]);
  }
  if (leftOut.length > 0) rows.push(['not checked', `${leftOut.join(', ')} of the module`]);
  for (const warning of warnings) rows.push(['warning', warning]);
  const problems = seen.filter(({ problem }) => problem !== undefined).length;
  const end = problems === 0 ? 'No problem found.' : `${problems} ${problems === 1 ? 'problem' : 'problems'} found.`;
  const table = rows.map(([name, text]) => `  ${name.padEnd(20)}${printable(text)}\n`).join('');
  return `${printable(`${module}: ${server}`)}\n\n${table}\n${end}\n`;
}

function counts(lists: Lists = {}): string {
  const some = Object.entries(lists).filter(([, { length }]) => length > 0);
  const parts = some.map(([name, { length }]) => {
    const noun = name === 'resourceTemplates' ? 'resource templates' : name;
    return `${length} ${length === 1 ? noun.replace(/s$/, '') : noun}`;
  });
  return parts.length === 0 ? 'connects' : `connects, and lists ${parts.join(', ')}`;
}
