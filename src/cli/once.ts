/** `sojourn once show`: what the store of a deployment knows of one key of `once()`. */
import type { Command } from 'commander';
import { SojournError } from '../errors.ts';
import { entryId, readEntry, type ReadEntry, type Scope } from '../once/entry.ts';
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import { DEFAULTS } from '../options/table.ts';
import { isEnded } from '../stores/store.ts';
import { EXIT, Failure, UsageError } from './failure.ts';
import { openStore, type StoreRequest } from './opened-store.ts';
import { variableName } from './option-flags.ts';
import { instanceText, printable, timestamp } from './session-printout.ts';
import type { Environment } from './settings.ts';
import { storeOf } from './store-url.ts';

export interface OnceRequest extends StoreRequest {
  readonly tool: string;
  readonly key: string;
  /** Whose key it may be. A name is tried in each form of user key that needs no issuer. */
  readonly scopes: readonly Scope[];
  readonly json: boolean;
}

interface Flags {
  readonly store?: string;
  readonly name?: string;
  readonly user?: string;
  readonly session?: string;
  readonly anonymous?: boolean;
  readonly json?: boolean;
}

export function describeOnce(group: Command, env: Environment, perform: (request: OnceRequest) => Promise<void>): void {
  group.summary('say what became of a call of once()').description('Reads a durable store.');
  const show = group.command('show <tool> <key>').description('show what is known of a key: it runs, or how it ended');
  show
    .option('--store <url>', `the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`)
    .option('--name <name>', `the endpoint's name (default: ${DEFAULTS.name})`)
    .option('--user <user>', 'the key is of this user: the name, or the key of `sessions show`')
    .option('--session <id>', 'the key is of this session')
    .option('--anonymous', "the key is of callers without a user (anonymous: 'shared')")
    .option('--json', 'print JSON, in one line')
    .action(() => perform(requestOf(show.args, show.opts<Flags>(), env)));
}

function requestOf([tool = '', key = '']: readonly string[], flags: Flags, env: Environment): OnceRequest {
  const storeUrl = flags.store ?? (env[variableName('store')] || undefined);
  if (storeUrl === undefined)
    throw new UsageError(`once show needs --store (or ${variableName('store')}), e.g. sqlite:./sessions.db`);
  const scopes = scopesOf(flags);
  const name = flags.name ?? (env[variableName('name')] || DEFAULTS.name);
  const origin = flags.store === undefined ? variableName('store') : '--store';
  return { tool, key, scopes, storeUrl, origin, name, json: flags.json === true };
}

function scopesOf({ user, session, anonymous }: Flags): readonly Scope[] {
  const given = [user, session, anonymous].filter((one) => one !== undefined);
  if (given.length !== 1) throw new UsageError('once show takes one of --user, --session and --anonymous');
  if (session !== undefined) return [['session', session]];
  if (user === undefined) return [['anonymous']];
  const keys = [user, JSON.stringify(['user', user]), JSON.stringify(['sub', '', user])];
  return keys.map((key) => ['user', key] as const);
}

/** Resolves with the exit code: 1 where nothing is known of the key. */
export async function showOnce(request: OnceRequest, out: (text: string) => void): Promise<number> {
  const chosen = await storeOf(request.storeUrl, request.origin);
  try {
    const store = await openStore(chosen, request);
    try {
      for (const scope of request.scopes) {
        const known = await knownOf(store, entryId(scope, request.tool, request.key));
        if (known === undefined) continue;
        out(request.json ? `${JSON.stringify(known)}\n` : textOf(request, known));
        return EXIT.ok;
      }
    } finally {
      await store.close();
    }
  } catch (error) {
    throw error instanceof SojournError ? new Failure(chosen.redact(error.message), { cause: error }) : error;
  }
  throw new Failure(
    `nothing is known of this key: the next call with it runs. A user whose tokens name an issuer is given by key: ` +
      `--user '["sub","<issuer>","<subject>"]'`,
  );
}

interface Known {
  readonly state: 'running' | 'orphaned' | 'ended' | 'unreadable';
  /** How it ended. */
  readonly outcome?: string;
  readonly bytes?: number;
  readonly endedAt?: number;
  readonly startedAt?: number;
  /** The instance that runs it, or ran it last. */
  readonly instance?: string;
}

async function knownOf(store: EndpointStore, id: string): Promise<Known | undefined> {
  const found = await store.once.read(id);
  if (found === undefined || (isEnded(found) && found.outcome === '')) return undefined;
  const entry = readEntry(isEnded(found) ? found.outcome : found.body);
  if (entry === undefined) return { state: 'unreadable' };
  if (isEnded(found)) return { state: 'ended', ...outcomeOf(entry), endedAt: found.at };
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
