/** The commands that look into a store: `sojourn sessions | instances | tasks | handles | events | once`, each with its verbs. */
import type { Command } from 'commander';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { McpEndpointOptions } from '../../base/options/mcp-endpoint-options.ts';
import { resolveOptions } from '../../base/options/resolve.ts';
import { DEFAULTS } from '../../base/options/table.ts';
import { flag, ms, number, textIn, type Values, valuesOf } from '../../base/options/value-kinds.ts';
import { UsageError } from '../failure.ts';
import {
  addFlag,
  checkedByName,
  type Environment,
  type GivenFlags,
  givenBy,
  text,
  variableName,
} from '../flags.ts';

export interface RecordRequest extends StoreRequest, Values<typeof FLAGS> {
  readonly kind: RecordsCommand;
  readonly verb: string;
  /** What the command names: an id or a hash, or the tool and the key of `once`. */
  readonly names: readonly string[];
}

interface ListedRecord {
  readonly id: string;
  readonly status?: string;
}

export interface RecordKind<T extends ListedRecord = ListedRecord> {
  /** The table of `ls`. Its widths end before the last column. The column `ID` is shown with `--ids`. */
  readonly columns?: readonly string[];
  /** What one of them is called. Default: the name of the command without its `s`. */
  readonly noun?: string;
  readonly widths?: readonly number[];
  cells?(value: T): readonly string[];
  ls?(store: EndpointStore, request: RecordRequest): AsyncIterable<T>;
  show(store: EndpointStore, request: RecordRequest): Promise<object>;
  /** The verb that changes something. Resolves with what it has done, in a line. */
  act(store: EndpointStore, request: RecordRequest): Promise<string>;
}

/** A worker has 25 s to drain, if nothing else was said. */
const WAIT_MS = 60_000;

const told = textIn('Running');

const STORE_FLAGS = {
  store: text(
    told(`the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`, { value: 'url' }),
  ),
  deployment: text(
    told("the endpoint's deployment", { value: 'name', shown: DEFAULTS.deployment }),
  ),
};
const FLAGS = {
  json: flag(false, told('print JSON, one record per line')),
  ids: flag(
    false,
    told('print ids too: who has the id of a session, or of a task without a user, has it'),
  ),
  yes: flag(
    false,
    told('do it: without this flag the command prints the record, and does nothing'),
  ),
  user: text(
    told("only those of this user: the name, or the key of show's output", { value: 'name' }),
  ),
  session: text(
    told('the key is of this session: its id, or while it lives its hash', { value: 'id' }),
  ),
  anonymous: flag(false, told("the key is of callers without a user (anonymous: 'shared')")),
  wait: number(WAIT_MS, ms(), told('how long the instance may take')),
};

type Verb = readonly [usage: string, help: string, ...flags: (keyof typeof FLAGS)[]];

const COMMANDS = {
  sessions: {
    summary: 'list, show and end the sessions in a store',
    verbs: [
      ['ls', 'list the sessions that have not ended', 'json', 'ids', 'user'],
      [
        'show <session>',
        'show one session; of its state the keys and sizes, never the values',
        'ids',
      ],
      ['end <session>', 'end a session, wherever it is; its id answers 404 from then on', 'wait'],
    ],
  },
  instances: {
    summary: 'list and drain the instances that serve with a store',
    verbs: [
      ['ls', 'list the instances of a deployment: where each runs, and its sessions', 'json'],
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
      ['ls', 'list the tasks that have not ended', 'json', 'ids', 'user'],
      [
        'show <task>',
        'show one task, or how it ended; never arguments, questions, answers and result',
        'ids',
      ],
      ['cancel <task>', 'end a task as cancelled, wherever it runs', 'yes'],
    ],
  },
  handles: {
    summary: 'list, show and end the handles in a store, and close their objects',
    verbs: [
      ['ls', 'list the handles that have not ended', 'json', 'user'],
      ['show <hash>', 'show one handle; of its state the keys and sizes, never the values'],
      [
        'close <hash>',
        'close the object of live() behind a handle, wherever it is open; the handle and its state stay, and the next ' +
          'call opens it again',
        'wait',
      ],
      ['end <hash>', 'end a handle, with its state and its object', 'yes'],
    ],
  },
  events: {
    summary: 'list, show, check and end the subscriptions to events that have a callback',
    verbs: [
      [
        'ls',
        'list them: which are behind, or suspended because their callback fails',
        'json',
        'user',
      ],
      ['show <subscription>', 'show one subscription, without its secret'],
      ['check <subscription>', 'send a challenge to its callback, as at the subscription'],
      ['end <subscription>', 'end a subscription; its client may subscribe again', 'yes'],
    ],
  },
  users: {
    summary: 'delete what a store keeps of a user',
    verbs: [
      [
        'forget <user>',
        'end the sessions, tasks, handles and subscriptions of a user, and delete its state: by name, or by the key of show',
        ...(['yes', 'wait'] as const),
      ],
    ],
  },
  once: {
    summary: 'say what became of a call of once(), and let its key run again',
    verbs: [
      [
        'show <tool> <key>',
        'show what is known of a key: it runs, or how it ended',
        'user',
        'session',
        'anonymous',
      ],
      [
        'forget <tool> <key>',
        'let a key run again that has ended, or whose outcome is unknown',
        ...(['user', 'session', 'anonymous', 'yes'] as const),
      ],
    ],
  },
} as const satisfies Readonly<
  Record<string, { readonly summary: string; readonly verbs: readonly Verb[] }>
>;

export type RecordsCommand = keyof typeof COMMANDS;
export const RECORD_COMMANDS = Object.keys(COMMANDS) as readonly RecordsCommand[];

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
      const verb = command.name();
      for (const [name, spec] of Object.entries(STORE_FLAGS)) addFlag(command, name, spec);
      for (const name of flags) addFlag(command, name, FLAGS[name]);
      command.action(() => {
        const given = command.opts<GivenFlags>();
        const values = checkedByName(
          (name) => `--${name}`,
          () => valuesOf(FLAGS, given),
        );
        return perform({
          kind,
          verb,
          names: command.args,
          ...values,
          ...storeRequest(`${kind} ${verb}`, given, env),
        });
      });
    }
  }
}

/** A store. `origin`: the flag, argument or variable that gave its URL, for errors. */
export type StoreRequest = ReturnType<typeof storeRequest>;

/**
 * `command` is the command as the user wrote it. `wanted` names what gives the URL. Keys come from the environment
 * alone: a flag would show them to every user of the machine.
 */
export function storeRequest(
  command: string,
  flags: GivenFlags,
  env: Environment,
  wanted = '--store',
) {
  const { given, originOf } = givenBy(flags, env, ['store', 'deployment', 'secrets']);
  const { store, deployment, secrets } = given;
  const variable = variableName('store');
  if (typeof store !== 'string')
    throw new UsageError(`${command} needs ${wanted} (or ${variable}), e.g. sqlite:./sessions.db`);
  const options = checkedByName(originOf, () =>
    resolveOptions({ deployment, secrets } as McpEndpointOptions),
  );
  return { storeUrl: store, origin: flags['store'] === undefined ? variable : wanted, options };
}

const EPILOGUE = `
Examples:
  $ sojourn sessions ls --store sqlite:./sessions.db --user ada
  $ sojourn sessions ls --store sqlite:./sessions.db --json | jq -r .clientInfo.name
  $ sojourn sessions end 4314b689248a --store sqlite:./sessions.db
  $ sojourn tasks ls --store sqlite:./sessions.db --user ada
  $ sojourn events ls --store sqlite:./sessions.db
  $ sojourn once show pay o-1 --store sqlite:./sessions.db --user ada

Sessions and tasks are named by the hash of their id, as in the log; its first digits are enough.
Write -- before an id that begins with -: sojourn sessions show --store … -- -Q3x
Exit codes: 0 success, 1 there is no such record or the command failed, 2 the command line is wrong.
`;
