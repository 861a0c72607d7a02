/** The store of a deployment, opened by a command that is no instance and takes no lease, and a record in it. */
import { existsSync } from 'node:fs';
import { SojournError } from '../../errors.ts';
import { USER_DEFAULTS } from '../../options/resolve-limits.ts';
import { DEFAULTS } from '../../options/table.ts';
import { type EndpointStore, openEndpointStore } from '../../endpoint/endpoint-store.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { pagesOf } from '../../base/pages.ts';
import { sessionHash } from '../../base/shown.ts';
import type { Logger } from '../../types.ts';
import { Failure, UsageError } from '../failure.ts';
import { storeOf } from '../store-url.ts';
import type { StoreRequest } from './commands.ts';

/** Log lines show 12 digits. */
const HASH = /^[0-9a-f]{1,12}$/;
const DIGITS_LEAST = 4;
export const PAGE = 100;
const NOUNS = { sessions: 'session', tasks: 'task' } as const;

/**
 * Opens the store for `work`. `shown`: what the store is called.
 *
 * @throws Failure for a file that does not exist: opening would create it, and its name may be mistyped
 */
export async function withOpenStore<T>(
  { storeUrl, origin, name }: StoreRequest,
  work: (store: EndpointStore, shown: string) => Promise<T>,
  logger: Logger = DEFAULTS.logger,
): Promise<T> {
  const { store: chosen, shown } = await storeOf(storeUrl, origin);
  if (!chosen.durable)
    throw new UsageError(
      `${origin}: the ${chosen.kind}: store is in the memory of the process that serves the sessions; this command cannot read it`,
    );
  const file = storeUrl.replace(/^sqlite:/i, '');
  if (chosen.kind === 'sqlite' && !existsSync(file))
    throw new Failure(`${file} does not exist; check the path in ${origin}`);
  let store: EndpointStore | undefined;
  try {
    store = await openEndpointStore(chosen, { ...DEFAULTS, perUser: USER_DEFAULTS, name, logger });
    return await work(store, shown);
  } catch (error) {
    // One line and no stack: the store's errors say what to do, and the user's code is not involved.
    if (!(error instanceof SojournError)) throw error;
    const { storeProblem, message } = error;
    throw new Failure(storeProblem === undefined ? message : `${shown}: ${storeProblem.what}`, { cause: error });
  } finally {
    await store?.close();
  }
}

/** @throws Failure where there is none. */
export async function recordOf(
  store: EndpointStore,
  kind: keyof typeof NOUNS,
  given = '',
): Promise<StoredRecord | EndedRecord> {
  const found = await store[kind].read(await idOf(store, kind, given));
  // The outcome of a task whose time is over is empty.
  if (found !== undefined && !(kind === 'tasks' && isEnded(found) && found.outcome === '')) return found;
  throw new Failure(
    `there is no ${NOUNS[kind]} ${JSON.stringify(given)} in this store; set --name to the name of its endpoint`,
  );
}

/**
 * The id of a record that is named by its id, or, while it lives, by the beginning of its hash.
 *
 * @throws Failure for what can be a hash alone, and is that of none or of several
 */
export async function idOf(store: EndpointStore, kind: keyof typeof NOUNS, given: string): Promise<string> {
  const records = store[kind];
  if (!HASH.test(given) || (await records.read(given)) !== undefined) return given;
  if (given.length < DIGITS_LEAST)
    throw new Failure(`${given} could be the hash of many ${kind}: give at least ${DIGITS_LEAST} digits of it`);
  const found: string[] = [];
  for await (const page of pagesOf((cursor) => records.list(PAGE, cursor)))
    found.push(...page.records.map(({ id }) => id).filter((id) => sessionHash(id).startsWith(given)));
  const [id] = found;
  if (found.length > 1)
    throw new Failure(
      `${found.length} ${kind} have a hash that begins with ${given}: ${found.map(sessionHash).join(', ')}`,
    );
  if (id !== undefined) return id;
  throw new Failure(
    `no ${NOUNS[kind]} in this store has a hash that begins with ${given}: one that has ended is found by its id ` +
      'alone. Set --name to the name of its endpoint',
  );
}
