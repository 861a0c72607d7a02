/**
 * `sojourn once show | forget`: what the store of a deployment knows of one key of `once()`. Forgetting is a
 * compare-and-set on what was shown: a call that takes the entry over, or ends it, comes first.
 */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { readEntry } from '../../durable/once/entry.ts';
import { entryId, type Scope } from '../../durable/records/call-key.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { Failure, UsageError } from '../failure.ts';
import type { RecordKind, RecordRequest } from './commands.ts';
import { idOf, living, userKeysOf } from './opened-store.ts';
import { instanceText, requireYes } from './printing.ts';

export const once: RecordKind = {
  show: async (store, request) => shown(store, await foundOf(store, request), request),

  /** Forgets it. */
  async act(store, request) {
    const record = await foundOf(store, request);
    const known = await shown(store, record, request);
    // Only its owner knows what its handler does at the moment.
    if (known.state === 'running')
      throw new Failure(
        `this key runs now, at ${known.instance}: it can be forgotten when it has ended, or its instance has crashed`,
      );
    requireYes(known, 'With --yes the next call with this key runs the tool again', request);
    if ((await store.once.end(record.id, record, '', 0)) === 'ended')
      return 'forgotten: the next call runs';
    throw new Failure(
      'a call has used this key since, so nothing was forgotten: `once show` says what became of it',
    );
  },
};

async function foundOf(
  store: EndpointStore,
  request: RecordRequest,
): Promise<StoredRecord | EndedRecord> {
  const [tool = '', key = ''] = request.names;
  for (const scope of await scopesOf(store, request)) {
    const record = await store.outcomes.whole(await store.once.read(entryId(scope, tool, key)));
    if (record !== undefined && !(isEnded(record) && record.outcome === '')) return record;
  }
  throw new Failure(
    `nothing is known of this key: if tool, key and --deployment are right, the next call runs. Set --deployment to that of the ` +
      `endpoint; a user whose tokens name an issuer is given by key: --user '["sub","<issuer>","<subject>"]'`,
  );
}

/** Where to look. The name of a user is tried in each form of user key that needs no issuer. */
async function scopesOf(store: EndpointStore, request: RecordRequest): Promise<readonly Scope[]> {
  const { user, session, anonymous, verb } = request;
  if (Number(user !== undefined) + Number(session !== undefined) + Number(anonymous) !== 1)
    throw new UsageError(`once ${verb} takes one of --user, --session and --anonymous`);
  if (session !== undefined) return [['session', await idOf(store, 'sessions', session)]];
  if (user === undefined) return [['anonymous']];
  return userKeysOf(user).map((key) => ['user', key] as const);
}

/** What is known of a key. `orphaned`: the instance of its run died, or `afterCrash` failed. */
async function shown(
  store: EndpointStore,
  found: StoredRecord | EndedRecord,
  { names }: RecordRequest,
) {
  const [tool, key] = names;
  if (isEnded(found)) {
    const entry = readEntry(found.outcome);
    const outcome = entry === undefined ? 'unreadable' : (entry.outcome?.is ?? 'lost');
    const bytes =
      entry?.outcome?.is === 'result' ? { bytes: Buffer.byteLength(entry.outcome.json) } : {};
    return {
      tool,
      key,
      state: 'ended' as const,
      outcome,
      ...bytes,
      means: MEANINGS[outcome],
      endedAt: found.at,
    };
  }
  const { owner, createdAt: startedAt } = found;
  const lease = (await living(store)).get(owner ?? '');
  if (lease === undefined)
    return { tool, key, state: 'orphaned' as const, startedAt, instance: owner ?? undefined };
  return { tool, key, state: 'running' as const, startedAt, instance: instanceText(lease) };
}

const MEANINGS = {
  result: 'calls with this key get its result again',
  error: 'the handler threw: calls with this key get the same error',
  lost: 'its instance died in the middle, so it may have run: calls with this key get owner_lost',
  cancelled: 'its run was aborted, so it may have run: calls with this key get cancelled',
  unreadable: 'a newer build of sojourn has recorded it',
  large: 'it ran, and its result is not kept: calls with this key get result_not_kept',
};
