/** The commands that look into a store: `sojourn sessions …`, `instances ls` and `doctor`. Their flags and help. */
import type { Command } from 'commander';
import { DEFAULTS } from '../options/table.ts';
import { UsageError } from './failure.ts';
import { durationMs } from './flag-value.ts';
import { variableName } from './option-flags.ts';
import { instanceKeysIn } from './given-orders.ts';
import type { DoctorRequest } from './doctor.ts';
import type { SessionsRequest } from './sessions.ts';
import type { Environment } from './settings.ts';
import { type StoreFlags, storeRequest, withStore } from './store-flags.ts';

interface Flags extends StoreFlags {
  readonly json?: boolean;
  readonly user?: string;
  readonly client?: string;
  readonly owner?: string;
  readonly idle?: string;
  readonly wait?: string;
  readonly watch?: string | true;
  readonly ids?: boolean;
}

type What = SessionsRequest['what'];

const COMMANDS: Readonly<Record<Exclude<What, 'instances' | 'drain'>, readonly [usage: string, help: string]>> = {
  ls: ['ls', 'list the sessions that have not ended'],
  show: ['show <session>', 'show one session; of its state the keys and sizes, never the values'],
  end: ['end <session>', 'end a session, wherever it is; its id answers 404 from then on'],
};

export function describeSessions(
  group: Command,
  env: Environment,
  perform: (request: SessionsRequest) => Promise<void>,
): void {
  group
    .summary('list, show and end the sessions in a store')
    .description('Reads a durable store, whether or not a server uses it at the moment.')
    .addHelpText('after', EPILOGUE);
  for (const [what, [usage, help]] of Object.entries(COMMANDS)) {
    const command = group.command(usage).description(help);
    withStore(command)
      .option('--json', 'print JSON, one session per line')
      .action(() => perform(requestOf(what as What, command.args[0] ?? '', command.opts<Flags>(), env)));
    command.option('--ids', 'print ids too: who has an id has its session');
    if (what === 'end') withWait(command);
    if (what !== 'ls') continue;
    command
      .option('--user <name>', "only the sessions of this user: the name, or the key of show's output")
      .option('--client <name>', 'only the sessions of clients whose name contains this')
      .option('--owner <instance>', 'only the sessions that this instance has in memory')
      .option('--idle <time>', 'only the sessions without a request for so long, e.g. 30m')
      .option('--watch [time]', 'print the list again and again, every 2 s or that often');
  }
}

export function describeInstances(
  group: Command,
  env: Environment,
  perform: (request: SessionsRequest) => Promise<void>,
): void {
  group.summary('list and drain the instances that serve with a store').description('Reads a durable store.');
  const ls = group.command('ls').description('list the instances of a deployment: where each runs, and its sessions');
  withStore(ls)
    .option('--json', 'print JSON, one instance per line')
    .action(() => perform(requestOf('instances', '', ls.opts<Flags>(), env)));
  const drain = group
    .command('drain <instance>')
    .description(
      'Orders an instance to drain, and waits for it: running calls finish, its sessions go to the others. Under `serve` ' +
        'its process ends, as at SIGTERM, and a supervisor starts another one.',
    );
  withWait(withStore(drain))
    .option('--json', 'print JSON')
    .action(() => perform(requestOf('drain', drain.args[0] ?? '', drain.opts<Flags>(), env)));
}

/** A worker has 25 s to drain, if nothing else was said. */
const WAIT_MS = 60_000;
const WATCH_MS = 2_000;

const withWait = (command: Command): Command =>
  command.option('--wait <time>', 'how long the instance may take (default: 60s)');

function requestOf(what: What, id: string, flags: Flags, env: Environment): SessionsRequest {
  const command = what === 'instances' ? 'instances ls' : what === 'drain' ? 'instances drain' : `sessions ${what}`;
  return {
    what,
    id,
    ...storeRequest(command, flags, env),
    json: flags.json === true,
    ids: flags.ids === true,
    filter: { user: flags.user, client: flags.client, owner: flags.owner, idleMs: timeOf(flags.idle, '--idle') },
    instanceKeys: instanceKeysIn(env),
    waitMs: timeOf(flags.wait, '--wait') ?? WAIT_MS,
    watchMs: watchOf(flags),
  };
}

function watchOf({ watch, json }: Flags): number | undefined {
  if (watch === undefined) return undefined;
  if (json === true) throw new UsageError('--watch prints tables: leave --json out');
  return watch === true ? WATCH_MS : timeOf(watch, '--watch');
}

function timeOf(given: string | undefined, flag: string): number | undefined {
  const ms = given === undefined ? undefined : durationMs(given);
  if (given !== undefined && ms === undefined)
    throw new UsageError(`${flag} takes a time such as 90s, 30m, 2h or 1d; got ${JSON.stringify(given)}`);
  return ms;
}

export function describeDoctor(
  command: Command,
  env: Environment,
  perform: (request: DoctorRequest) => Promise<void>,
): void {
  command
    .summary('look at a store: whether it can be used, how fast it is, and what is wrong')
    .description(
      'Opens a store as `serve` does, measures its operations on records that it removes, and prints the instances ' +
        'and sessions of a deployment. Exit code 1 if the store cannot be used, or if there is a warning.',
    )
    .argument('[store]', `the URL of the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`)
    .option('--name <name>', `the endpoint's name (default: ${DEFAULTS.name})`)
    .option('--json', 'print JSON, in one line')
    .action((given: string | undefined, { name, json = false }: Flags) => {
      const storeUrl = given ?? (env[variableName('store')] || undefined);
      if (storeUrl === undefined)
        throw new UsageError(
          `doctor needs the URL of a store (or ${variableName('store')}), e.g. sqlite:./sessions.db`,
        );
      const origin = given === undefined ? variableName('store') : 'doctor';
      return perform({ storeUrl, origin, json, name: name ?? (env[variableName('name')] || DEFAULTS.name) });
    });
}

/** Commands that take an id as it is. */
const ID_COMMANDS: readonly string[] = ['sessions show', 'sessions end', 'tasks show', 'tasks cancel'];
/** Ids that sojourn makes have 22 characters or more, and one of 64 begins with `-`. No flag here is as long. */
const ID_LENGTH_LEAST = 16;

/** The arguments with `--` before an id that begins with `-`, which commander would take for a flag. */
export function withIdsApart(args: readonly string[]): readonly string[] {
  if (!ID_COMMANDS.includes(args.slice(0, 2).join(' ')) || args.includes('--')) return args;
  const isId = (arg: string): boolean => arg.startsWith('-') && arg.length >= ID_LENGTH_LEAST && !arg.includes('=');
  const ids = args.filter(isId);
  return ids.length === 0 ? args : [...args.filter((arg) => !isId(arg)), '--', ...ids];
}

const EPILOGUE = `
Examples:
  $ sojourn sessions ls --store sqlite:./sessions.db
  $ sojourn sessions ls --store sqlite:./sessions.db --json | jq -r .clientInfo.name
  $ sojourn sessions ls --store sqlite:./sessions.db --idle 2h --client cursor
  $ sojourn sessions end 4314b689248a --store sqlite:./sessions.db

Sessions are named by the hash of their id, as in the log; its first digits are enough.
Write -- before a short id that begins with -: sojourn sessions show --store … -- -Q3x
Exit codes: 0 success, 1 the session does not exist or this command cannot end it, 2 the command line is wrong.
`;
