/**
 * Ends and deletes what the store keeps of a user. The state goes first: from then on no instance creates a record of
 * the user (`session/record/forgotten-users.ts`). Then all records end that count in the share of the user, and what
 * ended records say is deleted. A key of `once()` or of a task stays without its result, or a payment could run again.
 */
import { shareKey, storedShare } from '../base/budget.ts';
import { storeUnavailable } from '../base/errors.ts';
import { pagesOf } from '../base/pages.ts';
import { forgottenText } from '../durable/once/entry.ts';
import type { States } from '../durable/state/states.ts';
import { forgottenOutcome } from '../durable/tasks/task-record.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import { isEnded, type Records, UNOWNED } from '../stores/store.ts';

const PAGE = 1_000;
/** A client that calls all the time creates records that end at once. */
const ROUNDS = 100;
const TRIES = 64;
/** A key that is about to expire is renewed when it has ended. */
const LEAST_MS = 60_000;

/** How many of each ended. */
export interface ForgottenUser {
  readonly sessions: number;
  readonly tasks: number;
  readonly handles: number;
  /** How many of the handles had an object open at a living instance, which closes it at once. */
  readonly objects: number;
  /** To events, with a callback. */
  readonly subscriptions: number;
  /** It held something. */
  readonly userState: boolean;
}

/** Ends what an instance may have in work, wherever that is. `false`: it had ended. */
export interface UserEnds {
  session(id: string): Promise<boolean>;
  task(id: string): Promise<boolean>;
  subscription(id: string): Promise<boolean>;
}

export interface ForgetParts {
  readonly store: EndpointStore;
  readonly states: States;
  readonly ends: UserEnds;
  /** ms since 1970. */
  now(): number;
}

/** May be called again where it has failed: what has ended stays so. */
export async function forgetUser(userKey: string, parts: ForgetParts): Promise<ForgottenUser> {
  const { store, states, ends } = parts;
  const share = storedShare(shareKey(userKey));
  const userState = await states.forget(userKey);
  const sessions = await endLiving(store.sessions, share, (id) => ends.session(id));
  const tasks = await endLiving(store.tasks, share, (id) => ends.task(id));
  const owners: (string | null)[] = [];
  const handles = await endLiving(store.handles, share, async (id) => {
    const owner = await states.handles.endOwned(id);
    if (owner !== undefined) owners.push(owner);
    return owner !== undefined;
  });
  const subscriptions = await endLiving(store.subscriptions, share, ends.subscription);
  await Promise.all([endOf(store.emits, userKey), endOf(store.events, userKey)]);
  await endLiving(store.once, share, (id) => endKey(parts, id));
  await endLiving(store.results, share, async (id) => {
    return (await store.results.end(id, UNOWNED, '', 0)) === 'ended';
  });
  await changeEnded(store.states, share, (outcome) => outcome);
  await changeEnded(store.tasks, share, forgottenOutcome);
  await changeEnded(store.once, share, forgottenText);
  const alive = new Set((await store.instances.list()).map(({ id }) => id));
  const objects = owners.filter((owner) => owner !== null && alive.has(owner)).length;
  return { sessions, tasks, handles, objects, subscriptions, userState };
}

/** Ends each living record of a share. Returns how many there were. */
async function endLiving(
  records: Records,
  share: string,
  end: (id: string) => Promise<boolean>,
): Promise<number> {
  const seen = new Set<string>();
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // What has expired, and what another end overtook, may be there once more.
    const ids = await records.oldest(share, seen.size + PAGE);
    const fresh = ids.filter((id) => !seen.has(id));
    if (fresh.length === 0) break;
    for (const id of fresh) {
      seen.add(id);
      if (await end(id)) count += 1;
    }
  }
  return count;
}

/** Ends each record of a user. They count in no share, so all records of the kind are looked at. */
async function endOf(records: Records, userKey: string): Promise<void> {
  for await (const page of pagesOf((cursor) => records.list(PAGE, cursor)))
    for (const { id, user } of page.records)
      if (user === userKey) await records.end(id, UNOWNED, '', 0);
}

/** Ends a key of `once()` whose handler runs: its outcome is not stored any more. */
async function endKey({ store: { once }, now }: ForgetParts, id: string): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await once.read(id);
    if (found === undefined || isEnded(found)) return false;
    const keepMs = Math.max(LEAST_MS, (found.expiresAt ?? 0) - now());
    if ((await once.end(id, found, forgottenText(found.body), keepMs)) !== 'fenced') return true;
  }
  throw storeUnavailable('a key of once() changes all the time');
}

/** What the ended records of a share say becomes this text. They leave the share; without a text they go. */
async function changeEnded(
  records: Records,
  share: string,
  text: (outcome: string) => string,
): Promise<void> {
  for (const id of await records.endedOf(share)) {
    const found = await records.read(id);
    if (found !== undefined && isEnded(found)) await records.end(id, found, text(found.outcome));
  }
}
