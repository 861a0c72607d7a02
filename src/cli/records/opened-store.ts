/** The store of a deployment, opened by a command that is no instance and takes no lease, and a record in it. */
import { existsSync } from 'node:fs';
import { type EndpointStore, openEndpointStore } from '../../endpoint/endpoint-store.ts';
import { DamagedRecord } from '../../stores/shared/failures.ts';
import { UnreadableRecords } from '../../stores/shared/unreadable-records.ts';
import {
  type EndedRecord,
  type InstanceLease,
  isEnded,
  type StoredRecord,
} from '../../stores/store.ts';
import { pagesOf } from '../../base/pages.ts';
import { sessionHash } from '../../base/shown.ts';
import { Failure, UsageError } from '../failure.ts';
import { storeOf } from '../store-url.ts';
import type { RecordRequest, StoreRequest } from './commands.ts';

/** Log lines show 12 digits. */
const HASH = /^[0-9a-f]{1,12}$/;
const DIGITS_LEAST = 4;
const PAGE = 100;
/** Names in an error. */
const MOST_SHOWN = 20;

/**
 * Opens the store for `work`. `shown`: what the store is called.
 *
 * @throws Failure for a file that does not exist: opening would create it, and its name may be mistyped
 */
export async function withOpenStore<T>(
  { storeUrl, origin, options }: StoreRequest,
  work: (store: EndpointStore, shown: string) => Promise<T>,
  logger = options.logger,
): Promise<T> {
  const { store: chosen, shown } = await storeOf(storeUrl, origin);
  if (!chosen.durable)
    throw new UsageError(
      `${origin}: the ${chosen.kind}: store is in the memory of the process that serves the sessions; this command cannot read it`,
    );
  const file = storeUrl.replace(/^sqlite:/i, '');
  if (chosen.kind === 'sqlite' && !existsSync(file))
    throw new Failure(`${file} does not exist; check the path in ${origin}`);
  const store = await openEndpointStore(chosen, { ...options, logger });
  try {
    return await work(store, shown);
  } catch (cause) {
    throw cause instanceof DamagedRecord ? new Failure(cause.message, { cause }) : cause;
  } finally {
    await store.close();
  }
}

/** The kinds whose records a command lists and names. */
type NamedKind = 'sessions' | 'tasks' | 'handles' | 'subscriptions';

/** The instances that have a lease. */
export async function living({
  instances,
}: EndpointStore): Promise<ReadonlyMap<string, InstanceLease>> {
  return new Map((await instances.list()).map((lease) => [lease.id, lease]));
}

/** Where the owner of a record runs. */
export function ownerIn(alive: ReadonlyMap<string, InstanceLease>, { owner }: StoredRecord) {
  const lease = alive.get(owner ?? '');
  return lease && { ownerState: lease.state, host: lease.process?.host, pid: lease.process?.pid };
}

/** The keys that a user may have who is given by name or key, in each form that needs no issuer. */
export const userKeysOf = (user: string): readonly string[] => [
  user,
  JSON.stringify(['user', user]),
  JSON.stringify(['sub', '', user]),
];

/** The records of all pages, of the user that the command names, if it does: by name or key. */
export async function* summaries<
  T extends { readonly userKey?: string; readonly userName?: string },
>(
  store: EndpointStore,
  kind: NamedKind,
  summary: (record: StoredRecord, alive: ReadonlySet<string>) => T,
  { user, options }: RecordRequest,
): AsyncGenerator<T, void> {
  const unreadable = new UnreadableRecords(kind, options.logger);
  for await (const page of pagesOf((cursor) => store[kind].list(PAGE, cursor))) {
    // Read again for each page, because an instance may die between two pages.
    const alive = new Set((await living(store)).keys());
    for (const one of unreadable.split(page, (record) => summary(record, alive)).rows)
      if (user === undefined || one.userKey === user || one.userName === user) yield one;
  }
}

/** How many sessions each instance has; under `null`, those of none. */
export async function sessionsByOwner({
  sessions,
}: EndpointStore): Promise<ReadonlyMap<string | null, number>> {
  const counts = new Map<string | null, number>();
  for await (const { records } of pagesOf((cursor) => sessions.list(PAGE, cursor)))
    for (const { owner } of records) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

/** @throws Failure where there is none. */
export async function recordOf(
  store: EndpointStore,
  kind: NamedKind,
  given = '',
): Promise<StoredRecord | EndedRecord> {
  const found = await store[kind].read(await idOf(store, kind, given));
  // The outcome of a task whose time is over is empty.
  if (found !== undefined && !(kind === 'tasks' && isEnded(found) && found.outcome === ''))
    return found;
  throw unknown(kind, given);
}

/**
 * The id of a record that is named by its id, or, while it lives, by the beginning of its hash. What is printed of a
 * handle is its id: the beginning of the whole, or of what follows the part that its user's handles share.
 *
 * @throws Failure for what can be a hash alone, and is that of none or of several
 */
export async function idOf(store: EndpointStore, kind: NamedKind, given: string): Promise<string> {
  const records = store[kind];
  const isPrinted = PRINTED[kind] !== undefined;
  if (!(isPrinted || HASH.test(given)) || (await records.read(given)) !== undefined) return given;
  if (given.length < DIGITS_LEAST) throw unknown(kind, given);
  const shownOf = (id: string): string => (isPrinted ? id : sessionHash(id));
  const fits = (id: string): boolean =>
    shownOf(id).startsWith(given) ||
    (isPrinted && nameOf(id).startsWith(given.replace(/^sub_/, '')));
  const found: string[] = [];
  for await (const page of pagesOf((cursor) => records.list(PAGE, cursor)))
    found.push(...page.records.map(({ id }) => id).filter(fits));
  const [id] = found;
  if (id === undefined) throw unknown(kind, given);
  if (found.length === 1) return id;
  throw new Failure(
    `${found.length} ${kind} have a hash that begins with ${given}: ${found.slice(0, MOST_SHOWN).map(shownOf).join(', ')}`,
  );
}

const nameOf = (id: string): string => id.slice(id.indexOf('.') + 1);

/** What names a record whose id opens nothing. */
const PRINTED: Readonly<Partial<Record<NamedKind, string>>> = {
  handles: 'its hash, as `handles ls` prints it',
  subscriptions: 'its id, as `events ls` prints it',
};

const unknown = (kind: NamedKind, given: string): Failure =>
  new Failure(
    `there is no ${kind.slice(0, -1)} ${JSON.stringify(given)} in this store: it is found by ` +
      (PRINTED[kind] === undefined
        ? `its id, or while it lives by ${DIGITS_LEAST} digits or more of its hash`
        : `${PRINTED[kind]}, or by ${DIGITS_LEAST} characters or more of it`) +
      '; set --deployment to that of its endpoint',
  );
