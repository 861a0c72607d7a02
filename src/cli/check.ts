/**
 * `sojourn check <module>`: loads a module as `serve` does, asks it as one client of each era, starts it anew while a
 * session is open, and prints what the clients found and what the log warned of.
 *
 * The processes are instances of a lab. `auth`, `store`, `allowedHosts` and `timeProvider` of the module
 * are left out.
 */
import { escapeControls } from '../base/shown.ts';
import { keepingProcess, systemTime, within } from '../base/system.ts';
import { resolveOptions } from '../options/resolve.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { isModern, servedVersions } from '../protocol/versions.ts';
import { legacyRequest, modernRequest, type Params, resultOf } from '../testing/lab/lab-client.ts';
import type { LabInstance } from '../testing/lab/lab-instance.ts';
import { type Lab, openLab } from '../testing/lab/lab.ts';
import { EXIT, reason } from './failure.ts';
import { collectingLogger, json, rowsText } from './records/printing.ts';
import { loadServerModule } from './server-module.ts';

export interface CheckRequest {
  readonly module: string;
  readonly json: boolean;
}

interface Finding {
  /** Name and version. */
  readonly server: string;
  readonly version: string;
  /** The names of the items. A list for which the server has no capability is missing. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

const CLIENTS = {
  '2025': '2025 client',
  'after a restart': '  after a restart',
  '2026-07-28': '2026-07-28 client',
} as const;

/** What one client saw. */
interface Seen {
  readonly client: keyof typeof CLIENTS;
  readonly found?: Finding;
  readonly problem?: string;
}

/** A server that connects to something when a client comes takes a while. */
const ANSWER_MS = 30_000;
/** A list without an end must not keep the command. */
const MOST_PAGES = 100;

const LEGACY = '2025-11-25';
const LISTS = [
  ['tools', 'tools', 'tools/list', 'name'],
  ['prompts', 'prompts', 'prompts/list', 'name'],
  ['resources', 'resources', 'resources/list', 'uri'],
  ['resourceTemplates', 'resources', 'resources/templates/list', 'uriTemplate'],
] as const;

/** Resolves with the exit code. */
export async function check(
  { module, json: asJson }: CheckRequest,
  cwd: string,
  out: (text: string) => void,
): Promise<number> {
  const warnings = new Set<string>();
  const logger = collectingLogger(warnings);
  const { server, options } = await loadServerModule(module, { cwd, logger });
  const { auth, store, allowedHosts, timeProvider, ...own } = options;
  const { sessionMode, supportedProtocolVersions } = resolveOptions({ ...own, logger });
  const versions = servedVersions(sessionMode, supportedProtocolVersions);
  // A factory that never returns leaves Node nothing to wait for.
  const seen = await keepingProcess(async () => look(versions, await openLab(server, { ...own, logger })));
  const given = { auth, store, allowedHosts, timeProvider };
  const leftOut = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const report = { seen, warnings: [...warnings], leftOut };
  out(asJson ? json(report) : printed(module, report));
  return seen.some(({ problem }) => problem !== undefined) ? EXIT.failed : EXIT.ok;
}

/** The second instance takes the session of the first over, as the next process does. */
async function look(versions: readonly string[], lab: Lab): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const see = async (client: Seen['client'], find: () => Promise<Partial<Seen>>): Promise<void> => {
    seen.push({ client, ...(await find().catch((error: unknown) => ({ problem: reason(error) }))) });
  };
  const session = new Map<string, string>();
  const [first] = await lab.start();
  if (versions.some((version) => !isModern(version)))
    await see('2025', async () => ({ found: await foundIn(asker(first, session), session) }));
  await lab.drain(first);
  const [next] = await lab.start();
  const found = seen[0]?.found;
  if (found !== undefined && session.has('mcp-session-id'))
    await see('after a restart', async () => {
      const lists = await listsOf(asker(next, session), Object.keys(found.lists));
      const problem = difference(Object.values(found.lists).flat(), Object.values(lists).flat());
      return problem === undefined ? { found: { ...found, lists } } : { problem };
    });
  if (versions.some(isModern)) await see('2026-07-28', async () => ({ found: await foundIn(asker(next)) }));
  await lab.close();
  return seen;
}

/** One request at a time is asked: they share an id. */
const ID = 1_000_000;

type Ask = (method: string, params?: Params) => Promise<Params>;

/** `session`: the headers of a 2025 client. */
function asker(instance: LabInstance, session?: Map<string, string>): Ask {
  const answerTo = async (method: string, params: Params): Promise<Params> => {
    const request =
      session === undefined ? modernRequest(ID, method, params) : legacyRequest(ID, method, params, session);
    const response = await instance.fetch(request);
    const sessionId = response.headers.get('mcp-session-id');
    if (sessionId !== null) session?.set('mcp-session-id', sessionId);
    if (response.status === 202) return {};
    return resultOf(ID, response).catch((cause: unknown) => {
      throw new Error(`${method} failed: ${reason(cause)}`, { cause });
    });
  };
  return (method, params = {}) =>
    within(systemTime, ANSWER_MS, answerTo(method, params), () => {
      throw new Error(`${method} has no answer after ${ANSWER_MS / 1_000} s`);
    });
}

const CLIENT = { protocolVersion: LEGACY, capabilities: {}, clientInfo: { name: 'sojourn check', version: '1' } };

/** Connects, and asks for every list. Rejects with what went wrong. */
async function foundIn(ask: Ask, session?: Map<string, string>): Promise<Finding> {
  const opened = await (session === undefined ? ask('server/discover') : ask('initialize', CLIENT));
  const { capabilities, protocolVersion = '2026-07-28', serverInfo, _meta: meta } = opened;
  if (session !== undefined) {
    session.set('mcp-protocol-version', String(protocolVersion));
    await ask('notifications/initialized');
  }
  const has = (capability: string): boolean => isObject(capabilities) && capabilities[capability] !== undefined;
  const lists = LISTS.flatMap(([list, capability]) => (has(capability) ? [list] : []));
  const info = serverInfo ?? (isObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined);
  const { name, version } = isObject(info) ? info : {};
  const server = `${String(name)} ${String(version)}`;
  return { server, version: String(protocolVersion), lists: await listsOf(ask, lists) };
}

async function listsOf(ask: Ask, wanted: readonly string[]): Promise<Finding['lists']> {
  const lists: Record<string, readonly string[]> = {};
  for (const [list, , method, key] of LISTS)
    if (wanted.includes(list)) lists[list] = await allOf(ask, method, list, key);
  return lists;
}

async function allOf(ask: Ask, method: string, list: string, key: string): Promise<string[]> {
  const names: string[] = [];
  let cursor: unknown;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const { [list]: items, nextCursor } = await ask(method, cursor === undefined ? {} : { cursor });
    if (!Array.isArray(items)) throw new Error(`${method} was answered without ${list}`);
    names.push(...items.map((item: unknown) => String(isObject(item) ? item[key] : item)));
    cursor = nextCursor;
    if (typeof cursor !== 'string') return names;
  }
  throw new Error(`${method} has more than ${MOST_PAGES} pages`);
}

/** How the lists of a session differ after a restart. */
function difference(before: readonly string[], after: readonly string[]): string | undefined {
  const lost = before.filter((name) => !after.includes(name));
  const more = after.filter((name) => !before.includes(name));
  if (lost.length === 0 && more.length === 0) return undefined;
  const parts = [lost.length > 0 && `lacks ${lost.join(', ')}`, more.length > 0 && `also has ${more.join(', ')}`];
  return `the session ${parts.filter(Boolean).join(' and ')}: make the lists in the factory, from session.state`;
}

interface Report {
  readonly seen: readonly Seen[];
  /** Lines of the log from `warn` on, each once. */
  readonly warnings: readonly string[];
  readonly leftOut: readonly string[];
}

function printed(module: string, { seen, warnings, leftOut }: Report): string {
  const { server = 'a server', lists = {} } = seen.find(({ found }) => found !== undefined)?.found ?? {};
  const counts = Object.entries(lists).flatMap(([name, { length }]) => (length === 0 ? [] : [`${name} (${length})`]));
  const connects = `connects${counts.length === 0 ? '' : `, and lists ${counts.join(', ')}`}`;
  const rows: Array<readonly [string, string]> = seen.map(({ client, problem }) => [
    CLIENTS[client],
    problem ?? (client === 'after a restart' ? 'the session continues, with the same lists' : connects),
  ]);
  for (const [name, items] of Object.entries(lists)) if (items.length > 0) rows.push([name, items.join(', ')]);
  if (leftOut.length > 0) rows.push(['not checked', `${leftOut.join(', ')} of the module`]);
  for (const warning of warnings) rows.push(['warning', warning]);
  const problems = seen.filter(({ problem }) => problem !== undefined).length;
  const end = problems === 0 ? 'No problem found.' : `Problems found: ${problems}.`;
  return `${escapeControls(`${module}: ${server}`)}\n\n${rowsText(rows)}\n${end}\n`;
}
