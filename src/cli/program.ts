/** The commands of the CLI, their help, and the exit code of a run. */
import { Command, CommanderError, Option } from 'commander';
import { BUILD_VERSION } from '../base/protocol/versions.ts';
import { SojournError } from '../base/errors.ts';
import { EXIT, Failure, LoadFailure, UsageError } from './failure.ts';
import {
  addFlag,
  ALL_FLAGS,
  type Environment,
  type FlagSpec,
  type GivenFlags,
  GROUPS,
  variableName,
  withMeantFlag,
} from './flags.ts';
import {
  describeProve,
  type ProveFlags,
  type ProveRequest,
  proveRequest,
} from './prove/request.ts';
import {
  describeRecords,
  RECORD_COMMANDS,
  type RecordRequest,
  type StoreRequest,
  storeRequest,
} from './records/commands.ts';
import { type Findings, printFindings } from './records/printing.ts';
import { keysIn } from './key-file.ts';
import { readSettings, type ServeSettings } from './settings.ts';
import { hasStore, isStdioFlag, type StdioRequest, stdioRequest, stdioStore } from './stdio.ts';
import { STDIO_FLAGS } from './stdio-flags.ts';

export interface CliContext {
  readonly env: Environment;
  out(text: string): void;
  err(text: string): void;
  /** Runs the command; resolves with the exit code. `passed` are the arguments for the module, which follow `--`. */
  serve(module: string, settings: ServeSettings, passed: readonly string[]): Promise<number>;
  stdio(request: StdioRequest, settings: ServeSettings): Promise<number>;
  prove(request: ProveRequest): Promise<number>;
  check(module: string, passed: readonly string[]): Promise<Findings>;
  doctor(request: StoreRequest): Promise<Findings>;
  records(request: RecordRequest): Promise<number>;
}

const HELP_WIDTH = 100;
const MODULE_COMMANDS: readonly string[] = ['serve', 'dev', 'check', 'stdio', 'prove'];
const COMMANDS: readonly string[] = [...MODULE_COMMANDS, 'doctor', ...RECORD_COMMANDS];

/**
 * `given` are the arguments without the name of the program. An error of the user goes to `err`.
 *
 * @throws what a module threw while it was loaded: Node prints it with its file, line and stack
 */
export async function runCli(given: readonly string[], context: CliContext): Promise<number> {
  const { out, err } = context;
  const [command = ''] = given;
  const takesModule = MODULE_COMMANDS.includes(command);
  const end = takesModule && given.includes('--') ? given.indexOf('--') : given.length;
  const [args, passed] = [given.slice(0, end), given.slice(end + 1)];
  const hint = `(sojourn ${COMMANDS.includes(command) ? `${command} ` : ''}--help says what it takes)`;
  const forModule = `(arguments of the module itself follow --: sojourn ${command} server.js -- --mine)`;
  const program = new Command('sojourn')
    .description(
      'Calls, tasks and state that survive deploys and crashes: serve an MCP server to clients of every protocol revision.',
    )
    .version(BUILD_VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .exitOverride()
    .showHelpAfterError(takesModule ? `${hint}\n${forModule}` : hint)
    .configureOutput({
      writeOut: out,
      writeErr: err,
      getOutHelpWidth: () => HELP_WIDTH,
      getErrHelpWidth: () => HELP_WIDTH,
      outputError: (text, write) =>
        write(`sojourn: ${withMeantFlag(text).replace(/^error: /, '')}`),
    });
  let code: number = EXIT.ok;
  addCommands(program, context, passed, (ended) => (code = ended));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return codeOf(error, hint, err);
  }
}

/** The exit code for what a command threw. Throws what is no fault of its caller. */
function codeOf(error: unknown, hint: string, err: CliContext['err']): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof UsageError) {
    err(`sojourn: ${error.message}\n${hint}\n`);
    return EXIT.usage;
  }
  if (error instanceof LoadFailure) {
    // Another process may write a line between this one and what Node prints.
    err(`sojourn: ${error.message}:\n`);
    throw error.cause;
  }
  if (!(error instanceof Failure) && !(error instanceof SojournError)) throw error;
  const problem = error instanceof SojournError ? error.storeProblem?.what : undefined;
  err(`sojourn: ${problem ?? error.message}\n`);
  return EXIT.failed;
}

/** `passed`: what follows `--`. `ended` gets the exit code of the command that runs. */
function addCommands(
  program: Command,
  context: CliContext,
  passed: readonly string[],
  ended: (code: number) => void,
): void {
  const { env, out } = context;
  const ends = async (run: Promise<number>): Promise<void> => ended(await run);
  describeServe(program.command('serve')).action((module: string, flags: GivenFlags) =>
    ends(context.serve(module, readSettings(flags, env), passed)),
  );
  describeStdio(program.command('stdio')).action((file: string | undefined, flags: GivenFlags) => {
    const request = stdioRequest(file, passed, filtered(flags, isStdioFlag), env);
    const own = filtered(flags, (key) => !isStdioFlag(key));
    const store = hasStore(flags, env) ? {} : { store: stdioStore(request) };
    return ends(context.stdio(request, readSettings({ ...own, ...store }, env, 'stdio')));
  });
  describeDev(program.command('dev')).action((module: string, flags: GivenFlags) =>
    ends(context.serve(module, readSettings(flags, env, 'dev'), passed)),
  );
  describeProve(program.command('prove')).action((module: string | undefined, flags: ProveFlags) =>
    ends(context.prove(proveRequest(module, passed, flags, env))),
  );
  const prints = async ({ json }: GivenFlags, found: Promise<Findings>): Promise<void> =>
    ended(printFindings(await found, json === true, out));
  const checked = (module: string, { authKeys: keys }: GivenFlags): Promise<Findings> => {
    if (typeof keys === 'string') keysIn(keys);
    return context.check(module, passed);
  };
  describeCheck(program.command('check')).action((module: string, flags: GivenFlags) =>
    prints(flags, checked(module, flags)),
  );
  describeDoctor(program.command('doctor')).action(
    (store: string | undefined, flags: GivenFlags) => {
      const given = { ...flags, ...(store !== undefined && { store }) };
      return prints(flags, context.doctor(storeRequest('doctor', given, env, '<store>')));
    },
  );
  describeRecords(program, env, (request) => ends(context.records(request)));
}

/** A command that loads a module. */
const describeModule = (command: Command, summary: string, description: string): Command =>
  command
    .summary(summary)
    .usage('[options] <module> [-- <arguments of the module>]')
    .description(description)
    .argument(
      '<module>',
      'JavaScript file, or TypeScript (Node 22.18 and later; earlier versions need tsx)',
    )
    .addHelpOption(new Option('-h, --help', 'print help').helpGroup('Running:'));

function describeServe(command: Command): Command {
  describeModule(
    command,
    'serve the MCP server that a module creates',
    'Serves the MCP server that a module creates, over HTTP, to 2025-era clients (with sessions) and 2026-07-28 clients.\n\n' +
      'The default export of the module is an MCP server, a function that creates one, or\n{ server, options } or { factory, options }:\n\n' +
      "  import { McpServer } from '@modelcontextprotocol/server';\n\n" +
      "  export default () => new McpServer({ name: 'hello', version: '1.0.0' });",
  );
  for (const group of GROUPS)
    for (const [key, spec] of ALL_FLAGS)
      if (spec.group === group) addFlag(command, key, spec, group);
  return command.addHelpText('after', EPILOGUE);
}

const filtered = (flags: GivenFlags, wanted: (key: string) => boolean): GivenFlags =>
  Object.fromEntries(Object.entries(flags).filter(([key]) => wanted(key)));

function describeStdio(command: Command): Command {
  command
    .summary('serve a program of any language that speaks MCP on stdio')
    .usage('[options] [servers.json] [-- <command> <arguments>]')
    .description(
      'Starts the program for each session, and serves it over HTTP as `serve` does. A file with `mcpServers`, as ' +
        'clients have it, serves each of its programs at /<name>/mcp.',
    )
    .argument('[file]', 'a JSON file with mcpServers')
    .addHelpOption(new Option('-h, --help', 'print help').helpGroup('Running:'));
  const flags = [...Object.entries<FlagSpec>(STDIO_FLAGS), ...ALL_FLAGS];
  for (const group of GROUPS)
    for (const [key, spec] of flags) {
      const own = key === 'store' ? { ...spec, shown: 'a file in .sojourn, in this folder' } : spec;
      if (spec.group === group) addFlag(command, key, own, group);
    }
  return command.addHelpText('after', STDIO_EPILOGUE);
}

const STDIO_EPILOGUE = `
Every flag is also an environment variable, as for serve: sojourn serve --help says how.
The memory of a child is lost at a deploy, when it makes room, and after --child-idle-timeout-ms.

Examples:
  $ sojourn stdio -- npx -y @modelcontextprotocol/server-everything
  $ sojourn stdio servers.json --port 8080
  $ sojourn stdio --env API_KEY=secret --tools 'get_*' -- uvx mcp-server-time
`;

const NOT_IN_DEV: readonly string[] = ['workers', 'metrics', 'metricsToken'];
/** The flags that `dev --help` lists. */
const DEV_FLAGS: readonly string[] = ['port', 'host', 'store', 'logLevel'];

function describeDev(command: Command): Command {
  describeModule(
    command,
    'serve a module while you edit it: each edit is loaded, and sessions continue',
    'Serves a module as `serve` does, and loads it again when code in this folder changes, or package.json, ' +
      'tsconfig.json or .env. The port stays open and sessions continue. An edit that does not load leaves the last ' +
      'good build serving. The log has readable lines, one for each request.',
  );
  for (const [key, spec] of ALL_FLAGS) {
    const own = key === 'store' ? { ...spec, shown: 'a file in .sojourn, in this folder' } : spec;
    if (!NOT_IN_DEV.includes(key)) addFlag(command, key, own, spec.group, DEV_FLAGS.includes(key));
  }
  return command.addHelpText('after', DEV_EPILOGUE);
}

const describeCheck = (command: Command): Command =>
  describeModule(
    command,
    'load a module, connect a client of each era, and print what they find',
    'Loads a module as `serve` does and serves it to one client of each era, without a port, and once more to the ' +
      'session of the first, as after a restart. Prints the lists that they find, and the warnings of ' +
      'the log. Exit code 1 if a client fails, or if the session has other lists after the restart.',
  )
    .option('--auth-keys <file>', 'check this file of keys too; the clients need none')
    .option('--json', 'print JSON, in one line');

const describeDoctor = (command: Command): Command =>
  command
    .summary('look at a store: whether it can be used, how fast it is, and what is wrong')
    .description(
      'Opens a store as `serve` does, measures its operations on records that it removes, and prints the instances ' +
        'of a deployment. Exit code 1 if the store cannot be used, or if there is a warning.',
    )
    .argument(
      '[store]',
      `the URL of the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`,
    )
    .option('--deployment <name>', "the endpoint's deployment")
    .option('--json', 'print JSON, in one line');

const EPILOGUE = `
Every flag is also an environment variable: --retry-ms 500 is ${variableName('retryMs')}=500.
A time may have a unit: --idle-timeout-ms 30m, 90s, 2h, 1d.
Switches can be turned off (--no-legacy-sse, ${variableName('legacySse')}=false); lists take commas.
A flag overrides the environment, the environment the module's options, and these the defaults.
The module's process.argv has what follows --, and none of these flags.
Options that are functions or objects (hooks, logger, bus …) can only be set in the module.

Examples:
  $ sojourn serve server.js
  $ sojourn serve server.ts --port 8080 --host 0.0.0.0 --allowed-hosts mcp.example
  $ sojourn serve server.js --stateless --log-level warn
  $ sojourn serve server.js --store sqlite:./sessions.db --workers auto
  $ sojourn serve server.js --port 8080 -- /data --read-only
  $ ${variableName('store')}=redis://user:password@redis.example:6379 sojourn serve server.js
  $ ${variableName('limits.bodyBytes')}=1048576 sojourn serve server.js --path /

SIGTERM and SIGINT drain: running requests have --drain-timeout-ms to finish. A second signal ends
the process at once.
SIGHUP (kill -HUP) replaces the workers one by one; the new workers load the new code. Without
workers (--store memory:) it drains.
Exit codes: 0 success, 1 the command failed, 2 the command line is wrong.
`;

const DEV_EPILOGUE = `
Every flag of serve but --workers and --metrics works too, and every variable: sojourn serve --help lists them.
Sessions are kept in .sojourn/<module>.db, unless --store or the module names another store.

Examples:
  $ sojourn dev mcp.ts
  $ sojourn dev src/mcp.js --port 8080 -- /data --read-only

SIGTERM and SIGINT (Ctrl+C) end all processes within two seconds. SIGHUP loads the module again.
`;
