/** The commands that look into a store: `sojourn sessions | instances | tasks | once`, each with its verbs. */
import { type Command, Option } from 'commander';
import { DEFAULTS, OPTIONS } from '../../options/table.ts';
import { valuesOf } from '../../options/value-kinds.ts';
import { UsageError } from '../failure.ts';
import { durationMs } from '../flag-value.ts';
import { variableName } from '../option-flags.ts';
import { checkedByName, type Environment, givenBy } from '../settings.ts';

interface RecordFlags {
  readonly json?: true;
  /** Ids are printed: who has the id of a session has the session. */
  readonly ids?: true;
  readonly yes?: true;
  readonly user?: string;
  readonly session?: string;
  readonly anonymous?: true;
  /** How long the effect of an order may take, in ms. */
  readonly wait?: number;
}

export interface RecordRequest extends StoreRequest, RecordFlags {
  readonly kind: Kind;
  readonly verb: string;
  /** What the command names: an id or a hash, or the tool and the key of `once`. */
  readonly names: readonly string[];
}

/** A worker has 25 s to drain, if nothing else was said. */
const WAIT_MS = 60_000;

const FLAGS = {
  json: ['--json', 'print JSON, one record per line'],
  ids: ['--ids', 'print ids too: who has the id of a session, or of a task without a user, has it'],
  yes: ['--yes', 'do it: without this flag the command prints the record, and does nothing'],
  user: ['--user <name>', "only those of this user: the name, or the key of show's output"],
  wait: ['--wait <time>', 'how long the instance may take'],
  session: ['--session <id>', 'the key is of this session: its id, or while it lives its hash'],
  anonymous: ['--anonymous', "the key is of callers without a user (anonymous: 'shared')"],
} as const;

type Verb = readonly [usage: string, help: string, ...flags: (keyof typeof FLAGS)[]];

const COMMANDS = {
  sessions: {
    summary: 'list, show and end the sessions in a store',
    verbs: [
      ['ls', 'list the sessions that have not ended', 'ids', 'user'],
      ['show <session>', 'show one session; of its state the keys and sizes, never the values', 'ids'],
      ['end <session>', 'end a session, wherever it is; its id answers 404 from then on', 'ids', 'wait'],
    ],
  },
  instances: {
    summary: 'list and drain the instances that serve with a store',
    verbs: [
      ['ls', 'list the instances of a deployment: where each runs, and its sessions'],
      ['show <instance>', 'show one instance'],
      [
        'drain <instance>',
        'order an instance to drain, and wait for it: running calls finish, its sessions go to the others. Under ' +
          '`serve` its process ends, as at SIGTERM, and a supervisor starts another one',
        'wait',
      ],
    ],
  },
  tasks: {
    summary: 'list, show and cancel the tasks in a store',
    verbs: [
      ['ls', 'list the tasks that have not ended', 'ids', 'user'],
      ['show <task>', 'show one task, or how it ended; never arguments, questions, answers and result', 'ids'],
      ['cancel <task>', 'end a task as cancelled, wherever it runs', 'ids', 'yes'],
    ],
  },
  once: {
    summary: 'say what became of a call of once(), and let its key run again',
    verbs: [
      ['show <tool> <key>', 'show what is known of a key: it runs, or how it ended', 'user', 'session', 'anonymous'],
      [
        'forget <tool> <key>',
        'let a key run again that has ended, or whose outcome is unknown',
        ...(['user', 'session', 'anonymous', 'yes'] as const),
      ],
    ],
  },
} as const satisfies Readonly<Record<string, { readonly summary: string; readonly verbs: readonly Verb[] }>>;

export type Kind = keyof typeof COMMANDS;
export const RECORD_COMMANDS = Object.keys(COMMANDS) as readonly Kind[];

export function describeRecords(
  program: Command,
  env: Environment,
  perform: (request: RecordRequest) => Promise<void>,
): void {
  for (const kind of RECORD_COMMANDS) {
    const { summary, verbs } = COMMANDS[kind];
    const group = program.command(kind).summary(summary).addHelpText('after', EPILOGUE);
    group.description('Reads a durable store, whether or not a server uses it at the moment.');
    for (const [usage, help, ...flags] of verbs as readonly Verb[]) {
      const command = group.command(usage).description(help);
      command.option('--store <url>', `the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`);
      command.option('--name <name>', `the endpoint's name (default: ${DEFAULTS.name})`);
      const verb = command.name();
      if (verb === 'ls' || verb === 'show') command.addOption(optionOf('json'));
      for (const flag of flags) command.addOption(optionOf(flag));
      command.action(() => {
        const { store, name, ...given } = command.opts<RecordFlags & { store?: string; name?: string }>();
        const where = storeRequest(`${kind} ${verb}`, { store, name }, env);
        return perform({ kind, verb, names: command.args, ...given, ...where });
      });
    }
  }
}

function optionOf(flag: keyof typeof FLAGS): Option {
  const option = new Option(FLAGS[flag][0], FLAGS[flag][1]);
  return flag === 'wait' ? option.argParser(timeOf).default(WAIT_MS, '60s') : option;
}

function timeOf(given: string): number {
  const ms = durationMs(given);
  if (ms === undefined)
    throw new UsageError(`--wait takes a time such as 90s, 30m, 2h or 1d; got ${JSON.stringify(given)}`);
  return ms;
}

/** Keys come from the environment alone: a flag would show them to every user of the machine. */
const CHECKED = { name: OPTIONS.name, instanceKeys: OPTIONS.instanceKeys };

/** A store. `origin`: the flag, argument or variable that gave its URL, for errors. */
export type StoreRequest = ReturnType<typeof storeRequest>;

/** `command`: as the user wrote it, for the error. `argument`: the command takes the URL without a flag. */
export function storeRequest(
  command: string,
  flags: { readonly store?: string | undefined; readonly name?: string | undefined },
  env: Environment,
  argument?: string,
) {
  const said = Object.entries(flags).filter((pair): pair is ['store' | 'name', string] => pair[1] !== undefined);
  const { given, originOf } = givenBy(new Map(said), env, ['store', 'name', 'instanceKeys']);
  const { store } = given;
  const wanted = `${argument ?? '--store'} (or ${variableName('store')}), e.g. sqlite:./sessions.db`;
  if (typeof store !== 'string') throw new UsageError(`${command} needs ${wanted}`);
  const origin = argument !== undefined && flags.store !== undefined ? command : (originOf('store') ?? '');
  return { storeUrl: store, origin, ...checkedByName(originOf, () => valuesOf(CHECKED, given)) };
}

const EPILOGUE = `
Examples:
  $ sojourn sessions ls --store sqlite:./sessions.db --user ada
  $ sojourn sessions ls --store sqlite:./sessions.db --json | jq -r .clientInfo.name
  $ sojourn sessions end 4314b689248a --store sqlite:./sessions.db
  $ sojourn tasks ls --store sqlite:./sessions.db --user ada
  $ sojourn once show pay o-1 --store sqlite:./sessions.db --user ada

Sessions and tasks are named by the hash of their id, as in the log; its first digits are enough.
Write -- before an id that begins with -: sojourn sessions show --store … -- -Q3x
Exit codes: 0 success, 1 there is no such record or the command failed, 2 the command line is wrong.
`;
