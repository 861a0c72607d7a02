/** The commands and flags of the CLI, their help, and the exit code of a run. */
import { Command, CommanderError, Option } from 'commander';
import { BUILD_VERSION } from '../protocol/versions.ts';
import { SojournError } from '../errors.ts';
import { placeOf } from '../observe/log-lines.ts';
import { EXIT, Failure, UsageError } from './failure.ts';
import { parseFlagValue, type FlagValue } from './flag-value.ts';
import { ALL_FLAGS, defaultOf, type FlagKey, flagName, type FlagSpec, GROUPS, variableName } from './option-flags.ts';
import type { CheckRequest } from './check.ts';
import type { DoctorRequest } from './doctor.ts';
import { describeRecords, RECORD_COMMANDS, type RecordRequest, storeRequest } from './records/commands.ts';
import { readSettings, type Environment, type GivenFlags, type ServeSettings } from './settings.ts';

export interface CliContext {
  readonly env: Environment;
  out(text: string): void;
  err(text: string): void;
  /** Lets Node print an error, and end the process: of a mistake in the syntax it alone knows the place. */
  uncaught(error: SyntaxError): void;
  /** Runs the command; resolves with the exit code. `passed` are the arguments for the module, which follow `--`. */
  serve(module: string, settings: ServeSettings, passed: readonly string[]): Promise<number>;
  check(request: CheckRequest, passed: readonly string[]): Promise<number>;
  doctor(request: DoctorRequest): Promise<number>;
  records(request: RecordRequest): Promise<number>;
}

const HELP_WIDTH = 100;

/** `given` are the arguments without the name of the program. An error of the user goes to `err` and never rejects. */
export async function runCli(given: readonly string[], context: CliContext): Promise<number> {
  const { env } = context;
  const [command = ''] = given;
  let code: number = EXIT.ok;
  const takesModule = MODULE_COMMANDS.includes(command);
  const end = takesModule && given.includes('--') ? given.indexOf('--') : given.length;
  const [args, passed] = [given.slice(0, end), given.slice(end + 1)];
  const program = new Command('sojourn')
    .description('MCP sessions that outlive the process: serve an MCP server to clients of every protocol revision.')
    .version(BUILD_VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text),
      writeErr: (text) => context.err(text),
      getOutHelpWidth: () => HELP_WIDTH,
      getErrHelpWidth: () => HELP_WIDTH,
      outputError: (text, write) => write(`sojourn: ${text.replace(/^error: /, '')}`),
    });
  const ends = async (run: Promise<number>): Promise<void> => void (code = await run);
  describeServe(program.command('serve'), (module, flags) =>
    ends(context.serve(module, readSettings(flags, env), passed)),
  );
  describeDev(program.command('dev'), (module, flags) =>
    ends(context.serve(module, readSettings(flags, env, true), passed)),
  );
  describeCheck(program.command('check'), (request) => ends(context.check(request, passed)));
  describeDoctor(program.command('doctor'), env, (request) => ends(context.doctor(request)));
  describeRecords(program, env, (request) => ends(context.records(request)));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    const isMeantForModule =
      error instanceof CommanderError &&
      (NOT_OURS.includes(error.code) || (error.code === NO_MODULE && passed.length > 0));
    const known = COMMANDS.includes(command);
    if (takesModule && isMeantForModule) context.err(ARGUMENTS_HINT.replace('serve', command));
    else if (error instanceof CommanderError && error.exitCode !== 0 && error.code !== HELP_ALONE)
      context.err(`(sojourn ${known ? `${command} ` : ''}--help says what it takes)\n`);
    return exitCodeOf(error, context, known ? command : 'serve');
  }
}

const MODULE_COMMANDS: readonly string[] = ['serve', 'dev', 'check'];
const COMMANDS: readonly string[] = [...MODULE_COMMANDS, 'doctor', ...RECORD_COMMANDS];
/** The mistakes of a command line with arguments that are meant for the module. */
const NOT_OURS: readonly string[] = ['commander.unknownOption', 'commander.excessArguments'];
/** `serve -- server.js`: the module is before `--`. */
const NO_MODULE = 'commander.missingArgument';
/** `sojourn` or `sojourn once` alone, which prints the help. */
const HELP_ALONE = 'commander.help';
const ARGUMENTS_HINT = '(arguments of the module itself follow --: sojourn serve server.js -- --mine)\n';

function exitCodeOf(error: unknown, context: CliContext, command: string): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof UsageError) {
    context.err(`sojourn: ${error.message}\n(sojourn ${command} --help lists the flags)\n`);
    return EXIT.usage;
  }
  if (error instanceof Failure || error instanceof SojournError) {
    const { message, cause } = error;
    if (cause instanceof SyntaxError) {
      context.err(`sojourn: ${message}`);
      context.uncaught(cause);
      return EXIT.failed;
    }
    const isOfModule = error instanceof SojournError && cause instanceof Error;
    // What the user's module threw is printed with its stack, or its place. One write: another process may print too.
    const place = isOfModule && command === 'dev' ? placeOf(cause) : undefined;
    const whole = isOfModule && command !== 'dev' ? (cause.stack ?? cause.message) : undefined;
    const stack = place === undefined ? whole : `    at ${place.replace('file://', '')}`;
    context.err(`sojourn: ${message}\n${stack === undefined ? '' : `${stack}\n`}`);
    return EXIT.failed;
  }
  throw error;
}

type Perform = (module: string, flags: GivenFlags) => Promise<void>;

/** A command that loads a module. */
const describeModule = (command: Command, summary: string, description: string): Command =>
  command
    .summary(summary)
    .usage('[options] <module> [-- <arguments of the module>]')
    .description(description)
    .argument('<module>', 'JavaScript file, or TypeScript (Node 22.18 and later; earlier versions need tsx)')
    .addHelpOption(new Option('-h, --help', 'print help').helpGroup('Running:'));

function describeServe(command: Command, perform: Perform): void {
  describeModule(
    command,
    'serve the MCP server that a module creates',
    'Serves the MCP server that a module creates, over HTTP, to 2025-era clients (with sessions) and 2026-07-28 clients.\n\n' +
      'The default export of the module is an MCP server, a function that creates one, or\n{ server, options } or { factory, options }:\n\n' +
      "  import { McpServer } from '@modelcontextprotocol/server';\n\n" +
      "  export default () => new McpServer({ name: 'hello', version: '1.0.0' });",
  )
    .addHelpText('after', EPILOGUE)
    .action((module: string) => perform(module, givenFlags(command)));
  const byGroup = [...ALL_FLAGS].toSorted(([, a], [, b]) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group));
  for (const [key, spec] of byGroup) if (key !== 'watch') addFlag(command, key, spec);
}

function describeDev(command: Command, perform: Perform): void {
  describeModule(
    command,
    'serve a module while you edit it: each edit is loaded, and sessions continue',
    'Serves a module as `serve` does, and loads it again when code in this folder changes, or package.json, ' +
      'tsconfig.json or .env. The port stays open and sessions continue. An edit that does not load leaves the last ' +
      'good build serving. The log has readable lines, one for each request.',
  )
    .addHelpText('after', DEV_EPILOGUE)
    .action((module: string) => perform(module, givenFlags(command)));
  for (const [key, spec] of ALL_FLAGS) {
    const own = key === 'store' ? { ...spec, shown: 'a file in .sojourn, in this folder' } : spec;
    if (!NOT_IN_DEV.includes(key)) addFlag(command, key, own, DEV_FLAGS.includes(key));
  }
}

const NOT_IN_DEV: readonly FlagKey[] = ['workers', 'metrics', 'metricsToken'];
/** The flags that `dev --help` lists. */
const DEV_FLAGS: readonly FlagKey[] = ['port', 'host', 'store', 'watch', 'logLevel'];

function describeCheck(command: Command, perform: (request: CheckRequest) => Promise<void>): void {
  describeModule(
    command,
    'load a module, connect a client of each era, and print what they find',
    'Loads a module as `serve` does and serves it to one client of each era, without a port, and once more to the ' +
      'session of the first, as after a restart. Prints the lists that they find, and the warnings of ' +
      'the log. Exit code 1 if a client fails, or if the session has other lists after the restart.',
  )
    .option('--json', 'print JSON, in one line')
    .action((module: string, { json = false }: { readonly json?: boolean }) => perform({ module, json }));
}

function describeDoctor(command: Command, env: Environment, perform: (request: DoctorRequest) => Promise<void>): void {
  command
    .summary('look at a store: whether it can be used, how fast it is, and what is wrong')
    .description(
      'Opens a store as `serve` does, measures its operations on records that it removes, and prints the instances ' +
        'and sessions of a deployment. Exit code 1 if the store cannot be used, or if there is a warning.',
    )
    .argument('[store]', `the URL of the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`)
    .option('--name <name>', "the endpoint's name")
    .option('--json', 'print JSON, in one line')
    .action((store: string | undefined, { name, json = false }: { readonly name?: string; readonly json?: boolean }) =>
      perform({ ...storeRequest('doctor', { store, name }, env, 'the URL of a store'), json }),
    );
}

function addFlag(command: Command, key: FlagKey, spec: FlagSpec, isListed = true): void {
  const { kind, value = 'value', preset } = spec;
  const name = flagName(key);
  const fallback = defaultOf(spec);
  const choices = spec.choices ? `: ${spec.choices.join(', ')}` : '';
  const help = `${spec.help}${choices}${fallback === undefined ? '' : ` (default: ${fallback})`}`;
  const add = (option: Option, isShown = true): unknown =>
    command.addOption(isListed && isShown ? option.helpGroup(`${spec.group}:`) : option.hideHelp());
  if (kind === 'switch') {
    add(new Option(`--${name}`, spec.help), fallback !== 'on');
    add(new Option(`--no-${name}`, spec.help), fallback === 'on');
    return;
  }
  const isOptional = preset !== undefined || kind === 'module';
  const option = new Option(`--${name} ${isOptional ? `[${value}]` : `<${value}>`}`, help);
  option.argParser((text: string, before: FlagValue | undefined) => {
    const parsed = parseFlagValue(spec, text, `--${name}`);
    return Array.isArray(parsed) && Array.isArray(before) ? [...before, ...parsed] : parsed;
  });
  add(isOptional ? option.preset(preset ?? '') : option, kind !== 'module');
}

function givenFlags(command: Command): GivenFlags {
  const values = command.opts<Record<string, FlagValue | undefined>>();
  const flags = new Map<FlagKey, FlagValue>();
  for (const key of ALL_FLAGS.keys()) {
    const value = values[new Option(`--${flagName(key)}`).attributeName()];
    if (value !== undefined) flags.set(key, value);
  }
  return flags;
}

const EPILOGUE = `
Every flag is also an environment variable: --retry-ms 500 is ${variableName('retryMs')}=500.
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
