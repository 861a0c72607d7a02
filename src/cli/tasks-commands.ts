/** The commands `sojourn tasks …`: their flags and help. */
import type { Command } from 'commander';
import type { Environment } from './settings.ts';
import { type StoreFlags, storeRequest, withStore } from './store-flags.ts';
import type { TasksRequest } from './tasks.ts';

interface Flags extends StoreFlags {
  readonly json?: boolean;
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
    if (what === 'ls')
      command.option('--user <name>', "only the tasks of this user: the name, or the key of show's output");
    if (what === 'cancel') command.option('--yes', 'do not ask');
  }
}

function requestOf(what: What, id: string, flags: Flags, env: Environment): TasksRequest {
  const { user, json, yes } = flags;
  return { what, id, ...storeRequest(`tasks ${what}`, flags, env), json: json === true, yes: yes === true, user };
}

const EPILOGUE = `
Examples:
  $ sojourn tasks ls --store sqlite:./sessions.db
  $ sojourn tasks ls --store sqlite:./sessions.db --user ada --json | jq -r .id
  $ sojourn tasks cancel ilxAUvhqNoLJgmkX.0sF8zJq0m3Jc2yQ1x7wE5g --store sqlite:./sessions.db

The first digits of the hash that log lines have name a task too, until it ends.
Exit codes: 0 success, 1 the task does not exist or was not cancelled, 2 the command line is wrong.
`;
