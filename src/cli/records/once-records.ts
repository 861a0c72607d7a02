/**
 * `sojourn once show | forget`: what the store of a deployment knows of one key of `once()`. Forgetting is a
 * compare-and-set on what was shown: a call that takes the entry over, or ends it, comes first.
 */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { readEntry } from '../../once/entry.ts';
import { entryId, type Scope } from '../../owned/call-key.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { Failure, UsageError } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { idOf } from './opened-store.ts';
import { instanceText, json } from './printing.ts';
import { INDENT, type RecordKind } from './record-kind.ts';

export const once: RecordKind = {
  async show(store, request) {
    return (await foundOf(store, request)).known;
  },

  verbs: {
    async forget(store, request, { confirms }) {
      const { record, known } = await foundOf(store, request);
      // Only its owner knows what its handler does at the moment.
      if (known.state === 'running')
        throw new Failure(
          `this key runs now, at ${known.instance}: it can be forgotten when it has ended, or its instance has crashed`,
        );
      const question = `${json(known, INDENT)}The next call with this key runs the tool again. Forget what is known? [y/N] `;
      if (!request.yes && !(await confirms(question)))
        throw new Failure('nothing was forgotten: answer y, or give --yes');
      const outcome = isEnded(record)
        ? await store.once.drop(record.id, record.at)
        : await store.once.end(record.id, { epoch: record.epoch, owner: record.owner, atStamp: record.stamp }, '', 0);
      if (outcome !== 'dropped' && outcome !== 'ended')
        throw new Failure(
          'a call has used this key since, so nothing was forgotten: `once show` says what became of it',
        );
      return { value: { ...known, forgotten: true }, text: 'forgotten: the next call runs\n' };
    },
  },
};

interface Known {
  readonly tool: string;
  readonly key: string;
  /** `orphaned`: its instance died, or `afterCrash` failed. */
  readonly state: 'running' | 'orphaned' | 'ended';
  /** How it ended, and what calls with the key get. */
  readonly outcome?: string;
  readonly means?: string;
  /** The size of the result. */
  readonly bytes?: number;
  readonly endedAt?: number;
  readonly startedAt?: number;
  /** The instance that runs it, or ran it last. */
  readonly instance?: string;
}

interface Found {
  readonly record: StoredRecord | EndedRecord;
  readonly known: Known;
}

async function foundOf(store: EndpointStore, request: RecordRequest): Promise<Found> {
  const [tool = '', key = ''] = request.names;
  for (const scope of await scopesOf(store, request)) {
    const record = await store.once.read(entryId(scope, tool, key));
    if (record !== undefined && !(isEnded(record) && record.outcome === ''))
      return { record, known: { tool, key, ...(await knownOf(store, record)) } };
  }
  throw new Failure(
    `nothing is known of this key: the next call with it runs. A user whose tokens name an issuer is given by key: ` +
      `--user '["sub","<issuer>","<subject>"]'`,
  );
}

/** Where to look. The name of a user is tried in each form of user key that needs no issuer. */
async function scopesOf(store: EndpointStore, request: RecordRequest): Promise<readonly Scope[]> {
  const { user, session, anonymous, verb } = request;
  if ([user !== undefined, session !== undefined, anonymous].filter(Boolean).length !== 1)
    throw new UsageError(`once ${verb} takes one of --user, --session and --anonymous`);
  if (session !== undefined) return [['session', await idOf('sessions', store.sessions, session)]];
  if (user === undefined) return [['anonymous']];
  const keys = [user, JSON.stringify(['user', user]), JSON.stringify(['sub', '', user])];
  return keys.map((key) => ['user', key] as const);
}

async function knownOf(store: EndpointStore, found: StoredRecord | EndedRecord): Promise<Omit<Known, 'tool' | 'key'>> {
  if (isEnded(found)) {
    const ended = outcomeOf(readEntry(found.outcome));
    return { state: 'ended', ...ended, means: MEANINGS[ended.outcome] ?? ended.outcome, endedAt: found.at };
  }
  const lease = found.owner === null ? undefined : await store.instances.read(found.owner);
  const instance = lease === undefined ? (found.owner ?? undefined) : instanceText(lease);
  const state = lease === undefined ? 'orphaned' : 'running';
  return { state, startedAt: found.createdAt, ...(instance !== undefined && { instance }) };
}

function outcomeOf(entry: ReturnType<typeof readEntry>): { readonly outcome: string; readonly bytes?: number } {
  if (entry === undefined) return { outcome: 'unreadable' };
  const { outcome } = entry;
  if (outcome?.is === 'result') return { outcome: 'result', bytes: Buffer.byteLength(outcome.json) };
  return { outcome: outcome?.is ?? 'lost' };
}

const MEANINGS: Readonly<Record<string, string>> = {
  result: 'calls with this key get its result again',
  error: 'the handler threw: calls with this key get the same error',
  lost: 'its instance died in the middle, so it may have run: calls with this key get owner_lost',
  cancelled: 'its run was aborted, so it may have run: calls with this key get cancelled',
  unreadable: 'a newer build of sojourn has recorded it',
  large: 'it ran, and its result is not kept: calls with this key get result_not_kept',
};
