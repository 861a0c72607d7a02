/** What the clients of `sojourn prove` call, and what they leave alone. */
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { mirroredHeaders } from '../../http/mcp-headers.ts';
import type { Params } from '../../testing/lab/lab-client.ts';
import { UsageError, reason } from '../failure.ts';
import type { ProveClient } from './clients.ts';
import { exampleOf } from './example.ts';

/** One thing to do. */
export interface Deed {
  readonly name: string;
  readonly method: string;
  readonly params: Params;
  /** Only a sessionless call has some. */
  readonly headers: Readonly<Record<string, string>>;
  /** It may run twice, by its hints or by its method. */
  readonly mayRunTwice: boolean;
  /** It may reach what is outside of the server, and is done once a second at most. */
  readonly isOpenWorld: boolean;
}

export interface Plan {
  readonly deeds: readonly Deed[];
  /** Tools that are not called, by name. */
  readonly left: ReadonlyMap<string, Left>;
}

/** Why a tool is not called, and what `--call` takes to call it. */
interface Left {
  readonly why: string;
  readonly call: string;
}

const NO_HINT = 'no readOnlyHint';
const MOST_PAGES = 20;
/** So many resources are read, and as many prompts. */
const MOST_READ = 3;

type Item = Readonly<Record<string, unknown>>;

/** `calls`: arguments of tools that may be called by their name; `undefined`: those of the schema. */
export async function planOf(
  client: ProveClient,
  capabilities: unknown,
  calls: ReadonlyMap<string, Params | undefined>,
): Promise<Plan> {
  const has = (name: string): boolean => isObject(capabilities) && capabilities[name] !== undefined;
  const left = new Map<string, Left>();
  const tools = has('tools') ? await listed(client, 'tools') : [];
  const deeds = tools.flatMap((tool) => {
    const deed = deedOf(tool, calls);
    if ('method' in deed) return [deed];
    left.set(String(tool['name']), deed);
    return [];
  });
  for (const list of ['resources', 'prompts'] as const)
    if (has(list)) {
      const found = await listed(client, list);
      deeds.push(
        listing(list),
        ...found.slice(0, MOST_READ).map(list === 'prompts' ? getting : reading),
      );
    }
  if (tools.length > 0) deeds.push(listing('tools'));
  return { deeds, left };
}

export function checkCalls(plans: readonly Plan[], calls: ReadonlyMap<string, unknown>): void {
  const known = plans.flatMap(({ deeds, left }) => [
    ...deeds.map(({ name }) => name),
    ...left.keys(),
  ]);
  for (const name of calls.keys())
    if (!known.includes(name)) throw new UsageError(`--call ${name}: the server has no such tool`);
  const isAsked = ({ method }: Deed): boolean => !method.endsWith('/list');
  if (plans.some(({ deeds }) => deeds.some(isAsked))) return;
  const [first] = plans.flatMap(({ left }) => [...left.values()]);
  throw new UsageError(
    first === undefined
      ? 'there is nothing to call: the server has no tools, resources or prompts'
      : `there is nothing to call: of no tool is known that it only reads (readOnlyHint: true). Name a tool that may run: ${first.call}`,
  );
}

async function listed(
  client: ProveClient,
  list: 'tools' | 'resources' | 'prompts',
): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: unknown;
  for (let page = 0; page < MOST_PAGES; page++) {
    const { [list]: items, nextCursor } = await client.request(`${list}/list`, {
      ...(cursor !== undefined && { cursor }),
    });
    if (Array.isArray(items)) found.push(...(items as unknown[]).filter(isObject));
    if (typeof nextCursor !== 'string') break;
    cursor = nextCursor;
  }
  return found;
}

function deedOf(tool: Item, calls: ReadonlyMap<string, Params | undefined>): Deed | Left {
  const name = String(tool['name']);
  const hints = isObject(tool['annotations']) ? tool['annotations'] : {};
  const { readOnlyHint, idempotentHint, openWorldHint } = hints;
  const schema = tool['inputSchema'];
  let args: unknown;
  try {
    args = calls.get(name) ?? exampleOf({ type: 'object', ...(isObject(schema) && schema) });
  } catch (error) {
    const why = `no arguments are known: ${reason(error)}`;
    return { why, call: `--call '${name}={…}'` };
  }
  const given =
    isObject(args) && Object.keys(args).length > 0 ? `'${name}=${JSON.stringify(args)}'` : name;
  if (readOnlyHint !== true && !calls.has(name)) return { why: NO_HINT, call: `--call ${given}` };
  return {
    name,
    method: 'tools/call',
    params: { name, arguments: args },
    headers: mirroredHeaders(schema, args),
    mayRunTwice: readOnlyHint === true || idempotentHint === true,
    isOpenWorld: openWorldHint !== false,
  };
}

const asking = (name: string, method: string, params: Params): Deed => ({
  name,
  method,
  params,
  headers: {},
  mayRunTwice: true,
  isOpenWorld: false,
});
const listing = (list: string): Deed => asking(`${list}/list`, `${list}/list`, {});
const reading = ({ uri }: Item): Deed => ({
  ...asking(`resources/read ${String(uri)}`, 'resources/read', { uri: String(uri) }),
  isOpenWorld: true,
});
const getting = ({ name, arguments: takes }: Item): Deed => {
  const needed = (Array.isArray(takes) ? (takes as unknown[]) : []).filter(isObject);
  const given = needed
    .filter(({ required }) => required === true)
    .map((one) => [one['name'], 'text']);
  return asking(`prompts/get ${String(name)}`, 'prompts/get', {
    name: String(name),
    arguments: Object.fromEntries(given) as object,
  });
};
