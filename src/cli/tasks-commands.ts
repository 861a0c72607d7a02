/** The commands `sojourn tasks …`: their flags and help. */
import type { Command } from 'commander';
import type { Environment } from './settings.ts';
import { type StoreFlags, storeRequest, withStore } from './store-flags.ts';
import type { TasksRequest } from './tasks.ts';

interface Flags extends StoreFlags {
  readonly json?: boolean;
  readonly ids?: boolean;
  readonly user?: string;
  readonly yes?: boolean;
}

type What = TasksRequest['what'];

const COMMANDS: Readonly<Record<What, readonly [usage: string, help: string]>> = {
  ls: ['ls', 'list the tasks that have not ended'],
  show: ['show <task>', 'show one task, or how it ended; never its arguments, questions, answers and result'],
  cancel: ['cancel <task>', 'end a task as cancelled, wherever it runs; asks first'],
};

export function describeTasks(
  group: Command,
  env: Environment,
  perform: (request: TasksRequest) => Promise<void>,
): void {
  group
    .summary('list, show and cancel the tasks in a store')
    .description('Reads a durable store, whether or not a server uses it at the moment.')
    .addHelpText('after', EPILOGUE);
  for (const [what, [usage, help]] of Object.entries(COMMANDS)) {
    const command = group.command(usage).description(help);
    withStore(command)
      .option('--json', 'print JSON, one task per line')
      .action(() => perform(requestOf(what as What, command.args[0] ?? '', command.opts<Flags>(), env)));
    command.option('--ids', 'print ids too: where a task has no user, who has its id has the task');
    if (what === 'ls')
      command.option('--user <name>', "only the tasks of this user: the name, or the key of show's output");
    if (what === 'cancel') command.option('--yes', 'do not ask');
  }
}

function requestOf(what: What, id: string, flags: Flags, env: Environment): TasksRequest {
  const { user, json, ids, yes } = flags;
  const printed = { json: json === true, ids: ids === true };
  return { what, id, ...storeRequest(`tasks ${what}`, flags, env), ...printed, yes: yes === true, user };
}

const EPILOGUE = `
Examples:
  $ sojourn tasks ls --store sqlite:./sessions.db
  $ sojourn tasks ls --store sqlite:./sessions.db --user ada --json | jq -r .hash
  $ sojourn tasks cancel 4314b689248a --store sqlite:./sessions.db

Tasks are named by the hash of their id, as in the log, until they end; its first digits are enough.
Exit codes: 0 success, 1 the task does not exist or was not cancelled, 2 the command line is wrong.
`;
