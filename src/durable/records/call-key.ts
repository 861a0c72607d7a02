/** The keys that applications give to calls, for `once()` and `task()`. */
import { digestText } from '../../base/digest.ts';
import { onceKeyInvalid, optionsContradict } from '../../base/errors.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';

/** Whose key it is. Callers without a user share their keys only where the author says so. */
export type Scope =
  | readonly ['user', string]
  | readonly ['session', string]
  | readonly ['anonymous'];

/** `undefined`: its caller has neither a user nor a session. */
export function scopeOf(
  { user, session }: { readonly user: string | undefined; readonly session: string | undefined },
  isShared: boolean,
): Scope | undefined {
  if (user !== undefined) return ['user', user];
  if (isShared) return ['anonymous'];
  return session === undefined ? undefined : ['session', session];
}

const KEY_LENGTH = 512;

export function keyOf(tool: string, key: unknown): string {
  if (typeof key === 'string' && key.length > 0 && key.length <= KEY_LENGTH) return key;
  throw onceKeyInvalid(
    tool,
    typeof key === 'string' ? `a text of ${key.length} characters` : shownKind(key),
  );
}

const shownKind = (value: unknown): string =>
  value instanceof Promise ? 'a promise' : `a value of type ${typeof value}`;

/** The id of an entry: who reads the store learns no key from it that is hard to guess. */
export const entryId = (scope: Scope, tool: string, key: string): string =>
  digestText(JSON.stringify([...scope, tool, key]));

/**
 * A hash of JSON values that does not depend on the order of their members. With the id of the entry in it, equal
 * arguments of two entries have different hashes. Who reads the store can still try arguments one by one.
 */
export const argumentsHash = (id: string, args: unknown): string =>
  digestText(`${id} ${canonicalJson(args ?? {})}`);

/**
 * Sorts the members of each object, as RFC 8785 does. `JSON.parse` reads 1e999 as `Infinity`, which `JSON.stringify`
 * writes as null: it becomes a text here, and each text begins with one character more.
 */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'string') return `"${part}`;
    if (typeof part === 'number' && !Number.isFinite(part)) return String(part);
    if (!isObject(part) || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}

// ——— the two together ———

const taskHandlers = new WeakSet<object>();

/** Notes a handler that `task()` has made. */
export function asTaskHandler<Handler extends object>(handler: Handler): Handler {
  taskHandlers.add(handler);
  return handler;
}

export const isTaskHandler = (handler: object): boolean => taskHandlers.has(handler);

/** `once()` of a task: after a crash its key refuses the run that would continue the task, and the task never ends. */
export function refuseTaskHandler(handler: object): void {
  if (isTaskHandler(handler))
    throw optionsContradict(
      'the handler of once() is one of task(): write task(once(handler, …), …), or give task() the key',
    );
}
