/**
 * `sojourn check <module>`: loads a module as `serve` does, asks it as one client of each era, starts it anew while a
 * session is open, and prints what the clients found and what the log warned of.
 *
 * The processes are instances of a lab. `auth`, `store`, `allowedHosts` and `timeProvider` of the module
 * are left out.
 */
import { pagesOf } from '../base/pages.ts';
import { keepingProcess, systemTime, within } from '../base/system.ts';
import { RPC } from '../base/errors/codes.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { legacyRequest, modernRequest, type Params, resultOf } from '../testing/lab/lab-client.ts';
import type { LabInstance } from '../testing/lab/lab-instance.ts';
import { type Lab, openLab } from '../testing/lab/lab.ts';
import { reason } from './failure.ts';
import { loadQuietly } from './quiet-module.ts';
import { collectingLogger, type Findings } from './records/printing.ts';
import { loadServerModule, resolvedOf } from './server-module.ts';

/** The names of the items. A list for which the server has no capability is missing. */
type Lists = Readonly<Record<string, readonly string[]>>;

/** What one client saw. */
interface SeenClient {
  readonly client: '2025' | 'after a restart' | '2026-07-28';
  /** `server`: name and version. */
  readonly found?: { readonly server: string; readonly version: string; readonly lists: Lists };
  readonly problem?: string;
}

/** A server that connects to something when a client comes takes a while. */
const ANSWER_MS = 30_000;
/** A list without an end must not keep the command. */
const MOST_PAGES = 100;

const LISTS = [
  ['tools', 'tools', 'tools/list', 'name'],
  ['prompts', 'prompts', 'prompts/list', 'name'],
  ['resources', 'resources', 'resources/list', 'uri'],
  ['resourceTemplates', 'resources', 'resources/templates/list', 'uriTemplate'],
] as const;

export async function check(module: string, cwd: string): Promise<Findings> {
  const lines = new Set<string>();
  const logger = collectingLogger(lines);
  const { server: definition, options } = await loadQuietly(
    { name: module, load: (loading) => loadServerModule(module, loading) },
    { cwd, logger },
  );
  const { auth, store, allowedHosts, timeProvider, ...own } = options;
  // Its `auth` may be a part, which flags of `serve` complete.
  resolvedOf(module, { ...options, auth: undefined });
  // A factory that never returns leaves Node nothing to wait for.
  const seen = await keepingProcess(async () =>
    look(await openLab(definition, { ...own, logger })),
  );
  const given = { auth, store, allowedHosts, timeProvider };
  const leftOut = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  const warnings = [...lines];
  const { server = 'a server', lists = {} } =
    seen.find(({ found }) => found !== undefined)?.found ?? {};
  const named = Object.entries(lists).filter(([, items]) => items.length > 0);
  const counts = named.map(([name, { length }]) => `${name} (${length})`);
  const connects = `connects${counts.length === 0 ? '' : `, and lists ${counts.join(', ')}`}`;
  const rows: Findings['rows'] = [
    ...seen.map(({ client, problem }) =>
      client === 'after a restart'
        ? ([`  ${client}`, problem ?? 'the session continues, with the same lists'] as const)
        : ([`${client} client`, problem ?? connects] as const),
    ),
    ...named.map(([name, items]) => [name, items.join(', ')] as const),
    ...(leftOut.length > 0
      ? [['not checked', `${leftOut.join(', ')} of the module`] as const]
      : []),
    ...warnings.map((warning) => ['warning', warning] as const),
  ];
  const problems = seen.filter(({ problem }) => problem !== undefined).length;
  return { report: { seen, warnings, leftOut }, title: `${module}: ${server}`, rows, problems };
}

/** The second instance takes the session of the first over, as the next process does. */
async function look(lab: Lab): Promise<readonly SeenClient[]> {
  const [seen, refused]: [SeenClient[], SeenClient[]] = [[], []];
  const see = async (
    client: SeenClient['client'],
    find: () => Promise<NonNullable<SeenClient['found']>>,
  ): Promise<void> => {
    try {
      seen.push({ client, found: await find() });
    } catch (error) {
      const isRefused =
        error instanceof Error &&
        isObject(error.cause) &&
        error.cause['code'] === RPC.unsupportedVersion;
      (isRefused ? refused : seen).push({ client, problem: reason(error) });
    }
  };
  const session = new Map<string, string>();
  const [first] = await lab.start();
  await see('2025', () => foundIn(asker(first, session), session));
  await lab.drain(first);
  const [next] = await lab.start();
  const found = seen[0]?.found;
  if (found !== undefined && session.has('mcp-session-id'))
    await see('after a restart', async () => {
      const lists = await listsOf(asker(next, session), Object.keys(found.lists));
      expectSame(Object.values(found.lists).flat(), Object.values(lists).flat());
      return { ...found, lists };
    });
  await see('2026-07-28', () => foundIn(asker(next)));
  await lab.close();
  // An era that a server does not serve is no problem, unless it serves none.
  return seen.length > 0 ? seen : refused;
}

/** One request at a time is asked: they share an id. */
const ID = 1_000_000;

type ClientAsk = (method: string, params?: Params) => Promise<Params>;

/** `session`: the headers of a 2025 client. */
function asker(instance: LabInstance, session?: Map<string, string>): ClientAsk {
  const answerTo = async (method: string, params: Params): Promise<Params> => {
    const request =
      session === undefined
        ? modernRequest(ID, method, params)
        : legacyRequest(ID, method, params, session);
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

const CLIENT = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'sojourn check', version: '1' },
};

/** Connects, and asks for every list. Rejects with what went wrong. */
async function foundIn(ask: ClientAsk, session?: Map<string, string>) {
  const opened = await (session === undefined ? ask('server/discover') : ask('initialize', CLIENT));
  const { capabilities, protocolVersion = '2026-07-28', serverInfo, _meta: meta } = opened;
  if (session !== undefined) {
    session.set('mcp-protocol-version', String(protocolVersion));
    await ask('notifications/initialized');
  }
  const has = (capability: string): boolean =>
    isObject(capabilities) && capabilities[capability] !== undefined;
  const lists = LISTS.flatMap(([list, capability]) => (has(capability) ? [list] : []));
  const info =
    serverInfo ?? (isObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined);
  const { name, version } = isObject(info) ? info : {};
  const server = `${String(name)} ${String(version)}`;
  return { server, version: String(protocolVersion), lists: await listsOf(ask, lists) };
}

async function listsOf(ask: ClientAsk, wanted: readonly string[]): Promise<Lists> {
  const lists: Record<string, string[]> = {};
  for (const [list, , method, key] of LISTS.filter(([name]) => wanted.includes(name))) {
    const names: string[] = [];
    let pages = 0;
    const read = async (cursor?: string) => {
      const { [list]: items, nextCursor } = await ask(method, { cursor });
      return { items, ...(typeof nextCursor === 'string' && { nextCursor }) };
    };
    for await (const { items } of pagesOf(read)) {
      pages += 1;
      if (!Array.isArray(items)) throw new Error(`${method} was answered without ${list}`);
      if (pages > MOST_PAGES) throw new Error(`${method} has more than ${MOST_PAGES} pages`);
      names.push(...items.map((item: unknown) => String(isObject(item) ? item[key] : item)));
    }
    lists[list] = names;
  }
  return lists;
}

/** Throws if a session has other items after a restart. */
function expectSame(before: readonly string[], after: readonly string[]): void {
  const lost = before.filter((name) => !after.includes(name));
  const more = after.filter((name) => !before.includes(name));
  if (lost.length === 0 && more.length === 0) return;
  const parts = [
    lost.length > 0 && `lacks ${lost.join(', ')}`,
    more.length > 0 && `also has ${more.join(', ')}`,
  ];
  throw new Error(
    `the session ${parts.filter(Boolean).join(' and ')}: make the lists in the factory, from session.state`,
  );
}
