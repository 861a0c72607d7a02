/**
 * `sojourn once show` and `once forget`: what the store of a deployment knows of one key of `once()`. Forgetting is a
 * compare-and-set on what was shown: a call that takes the entry over, or ends it, comes first.
 */
import type { Command } from 'commander';
import { entryId, type Scope } from '../owned/call-key.ts';
import { readEntry, type ReadEntry } from '../once/entry.ts';
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../stores/store.ts';
import type { Terminal } from './confirmation.ts';
import { Failure, UsageError } from './failure.ts';
import { idOf, type StoreRequest, withOpenStore } from './opened-store.ts';
import { instanceText, printable, timestamp } from './session-printout.ts';
import type { Environment } from './settings.ts';
import { type StoreFlags, storeRequest, withStore } from './store-flags.ts';

export interface OnceRequest extends StoreRequest {
  readonly what: 'show' | 'forget';
  readonly tool: string;
  readonly key: string;
  /** Whose key it is. */
  readonly of: Scope;
  readonly json: boolean;
  /** `forget` does not ask. */
  readonly yes: boolean;
}

interface Flags extends StoreFlags {
  readonly user?: string;
  readonly session?: string;
  readonly anonymous?: boolean;
  readonly json?: boolean;
  readonly yes?: boolean;
}

const COMMANDS: Readonly<Record<OnceRequest['what'], string>> = {
  show: 'show what is known of a key: it runs, or how it ended',
  forget: 'let a key run again that has ended, or whose outcome is unknown; asks first',
};

export function describeOnce(group: Command, env: Environment, perform: (request: OnceRequest) => Promise<void>): void {
  group.summary('say what became of a call of once(), and let its key run again').description('Reads a durable store.');
  for (const [what, help] of Object.entries(COMMANDS)) {
    const command = group.command(`${what} <tool> <key>`).description(help);
    withStore(command)
      .option('--user <user>', 'the key is of this user: the name, or the key of `sessions show`')
      .option('--session <id>', 'the key is of this session: its id, or while it lives its hash')
      .option('--anonymous', "the key is of callers without a user (anonymous: 'shared')")
      .option('--json', 'print JSON, in one line')
      .action(() => perform(requestOf(what as OnceRequest['what'], command.args, command.opts<Flags>(), env)));
    if (what === 'forget') command.option('--yes', 'do not ask');
  }
}

function requestOf(
  what: OnceRequest['what'],
  [tool = '', key = '']: readonly string[],
  flags: Flags,
  env: Environment,
): OnceRequest {
  const store = storeRequest(`once ${what}`, flags, env);
  return { what, tool, key, of: scopeOf(what, flags), ...store, json: flags.json === true, yes: flags.yes === true };
}

function scopeOf(what: string, { user, session, anonymous }: Flags): Scope {
  const given = [user, session, anonymous].filter((one) => one !== undefined);
  if (given.length !== 1) throw new UsageError(`once ${what} takes one of --user, --session and --anonymous`);
  if (session !== undefined) return ['session', session];
  return user === undefined ? ['anonymous'] : ['user', user];
}

/** Where to look. A name is tried in each form of user key that needs no issuer. */
async function scopesOf(store: EndpointStore, of: Scope): Promise<readonly Scope[]> {
  if (of[0] === 'session') return [['session', await idOf('sessions', store.sessions, of[1])]];
  if (of[0] === 'anonymous') return [of];
  const user = of[1];
  const keys = [user, JSON.stringify(['user', user]), JSON.stringify(['sub', '', user])];
  return keys.map((key) => ['user', key] as const);
}

/** Resolves with the exit code: 1 where nothing is known of the key, or it is not forgotten. */
export function onceKey(request: OnceRequest, terminal: Terminal): Promise<number> {
  return withOpenStore(request, async (store) => {
    const found = await foundOf(store, request, await scopesOf(store, request.of));
    if (request.what === 'forget') await forget(store, request, found, terminal);
    else terminal.out(request.json ? `${JSON.stringify(found.known)}\n` : textOf(request, found.known));
  });
}

interface Found {
  readonly record: StoredRecord | EndedRecord;
  readonly known: Known;
}

async function foundOf(store: EndpointStore, { tool, key }: OnceRequest, scopes: readonly Scope[]): Promise<Found> {
  for (const scope of scopes) {
    const record = await store.once.read(entryId(scope, tool, key));
    if (record !== undefined && !(isEnded(record) && record.outcome === ''))
      return { record, known: await knownOf(store, record) };
  }
  throw new Failure(
    `nothing is known of this key: the next call with it runs. A user whose tokens name an issuer is given by key: ` +
      `--user '["sub","<issuer>","<subject>"]'`,
  );
}

async function forget(store: EndpointStore, request: OnceRequest, found: Found, terminal: Terminal): Promise<void> {
  const { record, known } = found;
  if (known.state === 'running') throw onceRuns(known.instance);
  const question = `${textOf(request, known)}The next call with this key runs the tool again. Forget what is known? [y/N] `;
  if (!request.yes && !(await terminal.confirms(question)))
    throw new Failure('nothing was forgotten: answer y, or give --yes');
  const outcome = isEnded(record)
    ? await store.once.drop(record.id, record.at)
    : await store.once.end(record.id, { epoch: record.epoch, owner: record.owner, atStamp: record.stamp }, '', 0);
  if (outcome !== 'dropped' && outcome !== 'ended')
    throw new Failure('a call has used this key since, so nothing was forgotten: `once show` says what became of it');
  terminal.out(request.json ? `${JSON.stringify({ ...known, forgotten: true })}\n` : 'forgotten: the next call runs\n');
}

/** Only its owner knows what its handler does at the moment. */
const onceRuns = (instance = 'an instance'): Failure =>
  new Failure(`this key runs now, at ${instance}: it can be forgotten when it has ended, or its instance has crashed`);

interface Known {
  /** `orphaned`: its instance died, or `afterCrash` failed. */
  readonly state: 'running' | 'orphaned' | 'ended';
  /** How it ended. */
  readonly outcome?: string;
  readonly bytes?: number;
  readonly endedAt?: number;
  readonly startedAt?: number;
  /** The instance that runs it, or ran it last. */
  readonly instance?: string;
}

async function knownOf(store: EndpointStore, found: StoredRecord | EndedRecord): Promise<Known> {
  const entry = readEntry(isEnded(found) ? found.outcome : found.body);
  if (isEnded(found)) {
    const ended = entry === undefined ? { outcome: 'unreadable' } : outcomeOf(entry);
    return { state: 'ended', ...ended, endedAt: found.at };
  }
  const lease = found.owner === null ? undefined : await store.instances.read(found.owner);
  const instance = lease === undefined ? (found.owner ?? undefined) : instanceText(lease);
  return {
    state: lease === undefined ? 'orphaned' : 'running',
    startedAt: found.createdAt,
    ...(instance !== undefined && { instance }),
  };
}

function outcomeOf({ outcome }: ReadEntry): Pick<Known, 'outcome' | 'bytes'> {
  if (outcome?.is === 'result') return { outcome: 'result', bytes: Buffer.byteLength(outcome.json) };
  return { outcome: outcome?.is ?? 'lost' };
}

const OUTCOMES: Readonly<Record<string, string>> = {
  error: 'the handler threw: calls with this key get the same error',
  lost: 'its instance died in the middle, so it may have run: calls with this key get owner_lost',
  cancelled: 'its run was aborted, so it may have run: calls with this key get cancelled',
  unreadable: 'a newer build of sojourn has recorded it',
  large: 'it ran, and its result is not kept: calls with this key get result_not_kept',
};

function textOf({ tool, key }: OnceRequest, known: Known): string {
  const rows: Array<readonly [string, string]> = [
    ['tool', printable(tool)],
    ['key', printable(key)],
    ['state', known.state],
  ];
  if (known.outcome === 'result')
    rows.push(['outcome', `a result of ${known.bytes ?? 0} bytes, which calls get again`]);
  else if (known.outcome !== undefined) rows.push(['outcome', OUTCOMES[known.outcome] ?? known.outcome]);
  if (known.startedAt !== undefined) rows.push(['started', timestamp(known.startedAt)]);
  if (known.endedAt !== undefined) rows.push(['ended', timestamp(known.endedAt)]);
  if (known.instance !== undefined) rows.push(['instance', known.instance]);
  return rows.map(([name, value]) => `${name.padEnd(10)}${value}\n`).join('');
}
