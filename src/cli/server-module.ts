/**
 * Loads the user's module (JavaScript or TypeScript), and reads from its default export what to serve, and options.
 */
import { statSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { orUndefined } from '../base/or-undefined.ts';
import type { McpEndpointOptions } from '../base/options/mcp-endpoint-options.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { ConnectableServer, Logger, McpEndpointFactory } from '../base/types.ts';
import { isClass } from '../base/errors.ts';
import { isThenable } from '../base/options/checks.ts';
import { resolveOptions } from '../base/options/resolve.ts';
import { EXIT, Failure, LoadFailure, reason } from './failure.ts';
import { STOP_SIGNALS } from './shutdown.ts';
import type { WorkerStart } from './worker-role.ts';

export interface ServerModule {
  /** One server for all sessions, or a factory. */
  readonly server: McpEndpointFactory | ConnectableServer;
  readonly options: McpEndpointOptions;
  /** Where it is served in place of `--path`. */
  readonly paths?: readonly string[];
  /** Runs after the endpoint has closed. */
  close?(): Promise<void>;
}

/** What `serve` serves. */
export interface ServerSource {
  /** How messages name it: the module as the user gave it, for example. */
  readonly name: string;
  load(loading: Loading): Promise<ServerModule>;
}

/** Longer than a module takes that connects to something. */
const SLOW_LOAD_MS = 10_000;
const SHAPE =
  'an MCP server, a function that creates one, { server, options } or { factory, options }';

export interface Loading {
  readonly cwd: string;
  /** Gets a warning while the module loads for long, and if it listens for the signals that stop `serve`. */
  readonly logger: Logger;
  /** All workers load the same module, so the first one warns of its listeners. */
  readonly worker?: { readonly number: number; readonly start: WorkerStart } | undefined;
}

export async function loadServerModule(
  given: string,
  { cwd, logger, worker }: Loading,
): Promise<ServerModule> {
  const file = resolve(cwd, given);
  // The most common mistake: Node says it in some twenty lines.
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new Failure(`module not found: ${given} (looked for ${file})`);
  if (found.isDirectory())
    throw new Failure(
      `${given} is a folder: name the file that exports the server, e.g. ${join(given, 'server.js')}`,
    );
  if (/\.[cm]?tsx?$/.test(file)) await prepareTypeScript(given, file);
  const before = STOP_SIGNALS.map((signal) => process.listenerCount(signal));
  // An import that is awaited adds the functions that await it to the stack of what the module throws.
  const namespace = new Promise((loads, fails) => {
    import(pathToFileURL(file).href).then(
      (loaded) => loads(loaded),
      (cause: unknown) => fails(new LoadFailure(`cannot load ${given}`, { cause })),
    );
  });
  const loaded = serverModuleOf(given, await settled(given, namespace, logger));
  const isFirst = (worker?.number ?? 1) === 1;
  if (isFirst && takesConfig(loaded.server))
    logger.warn(
      { module: given },
      `${given} exports a function that takes { config }, which sojourn does not pass, and each client may get an ` +
        'error: export default () => createServer({ config: { … } })',
    );
  const added = STOP_SIGNALS.filter(
    (signal, n) => process.listenerCount(signal) > (before[n] ?? 0),
  );
  if (added.length > 0 && isFirst) warnOfListeners(given, added, logger);
  return loaded;
}

function warnOfListeners(module: string, signals: readonly string[], logger: Logger): void {
  logger.warn(
    { module, signals },
    `${module}, or a package that it imports, listens for ${signals.join(' and ')}: a listener that calls process.exit() ` +
      'cuts the drain, and running calls are lost. Remove it, because serve stops at these signals; ' +
      "clean up in process.on('exit')",
  );
}

/** `from`: where the options are from, for an error. */
export function resolvedOf(from: string, options: McpEndpointOptions): ResolvedOptions {
  try {
    return resolveOptions(options);
  } catch (error) {
    throw new Failure(`wrong options in ${from}: ${reason(error)}`, { cause: error });
  }
}

/** A top-level await of the module may settle late, or never, and the module may end the process. */
async function settled(
  given: string,
  namespace: Promise<unknown>,
  logger: Logger,
): Promise<unknown> {
  const timer = setTimeout(() => {
    logger.warn(
      { module: given, ms: SLOW_LOAD_MS },
      `${given} is not loaded yet: a top-level await in it, or in a file that it imports, has not settled; serve waits for it`,
    );
  }, SLOW_LOAD_MS).unref();
  // A process ends that has nothing left to wait for. The channel to a supervisor must not count.
  process.channel?.unref();
  const ended = (code: number): void => {
    // Any other code says itself that something failed.
    if (code !== EXIT.ok) return;
    const what =
      'ended the process, or waits in a top-level await for something that never happens';
    writeSync(
      process.stderr.fd,
      `sojourn: cannot load ${given}: it, or a file that it imports, ${what}\n`,
    );
    process.exit(EXIT.failed);
  };
  const ends = ['beforeExit', 'exit'] as const;
  for (const end of ends) process.once(end, ended);
  try {
    return await namespace;
  } finally {
    process.channel?.ref();
    for (const end of ends) process.off(end, ended);
    clearTimeout(timer);
  }
}

/**
 * Node 22.18 and later strips types itself. Earlier versions need tsx: installed beside the module, or beside sojourn.
 */
async function prepareTypeScript(given: string, file: string): Promise<void> {
  const features = process.features as { readonly typescript?: unknown };
  if (features.typescript && !file.endsWith('x')) return;
  for (const from of [file, import.meta.url]) {
    const loader = orUndefined(() => createRequire(from).resolve('tsx'));
    if (loader === undefined) continue;
    // Like `node --import tsx`: tsx registers itself, for ES modules and CommonJS.
    await import(pathToFileURL(loader).href);
    return;
  }
  throw new Failure(
    `${given} is TypeScript, which Node ${process.versions.node} does not run by itself: ` +
      'install tsx in its project (npm install --save-dev tsx), use Node 22.18 or later, or serve the compiled JavaScript',
  );
}

/** Reads factory and options from the default export. `given` names the module in errors. */
export function serverModuleOf(given: string, namespace: unknown): ServerModule {
  const exports = exportsOf(namespace);
  const exported: unknown = Reflect.get(exports, 'default');
  const wrong = (what: string): Failure =>
    new Failure(`${given}: the default export is ${what}; it must be ${SHAPE}`);
  if (isClass(exported)) throw wrong('a class');
  if (typeof exported === 'function')
    return { server: exported as McpEndpointFactory, options: {} };
  if (exported === undefined) {
    const names = Object.keys(exports).filter(
      (name) => !['default', '__esModule', 'module.exports'].includes(name),
    );
    throw wrong(names.length === 0 ? 'missing' : `missing (it exports ${names.join(', ')})`);
  }
  if (typeof exported !== 'object' || exported === null || Array.isArray(exported)) {
    throw wrong(
      exported === null ? 'null' : Array.isArray(exported) ? 'an array' : `a ${typeof exported}`,
    );
  }
  if (isThenable(exported)) throw wrong('a promise (write export default await …)');
  if (isServer(exported)) return { server: exported, options: {} };
  if (isEndpoint(exported))
    throw wrong('an endpoint, which serve makes by itself from your server and options');
  const { server, factory, options = {}, ...others } = exported as Record<string, unknown>;
  if (server !== undefined && factory !== undefined)
    throw wrong('an object with both server and factory');
  const made = server ?? factory;
  if (isClass(made)) throw wrong('an object with a class');
  if (typeof made !== 'function' && !isServer(made))
    throw wrong('an object without a server or factory');
  const [unknownMember] = Object.keys(others);
  if (unknownMember !== undefined)
    throw wrong(`an object with the unknown member ${unknownMember}`);
  if (typeof options !== 'object' || options === null)
    throw wrong('an object whose member options is not an object');
  return { server: made as McpEndpointFactory | ConnectableServer, options };
}

function isServer(value: unknown): value is ConnectableServer {
  return typeof value === 'object' && value !== null && 'connect' in value && 'close' in value;
}

/** The parameter of the modules that Smithery starts. A function that has a default for it works. */
const CONFIG = /^(?:async\s+)?(?:function\b[^(]*)?\(\s*\{(?:[^}]*,)?\s*config\s*[,:}]/;

const takesConfig = (made: unknown): boolean =>
  typeof made === 'function' && CONFIG.test(Function.prototype.toString.call(made).slice(0, 500));

/** What `createMcpEndpoint` of any copy of this library returns. */
function isEndpoint(value: object): boolean {
  return ['node', 'fetch', 'listen', 'drain'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
}

/** For CommonJS that was compiled from an ES module, the default export holds all exports of the module. */
function exportsOf(namespace: unknown): object {
  const exported: unknown = Reflect.get(Object(namespace), 'default');
  return typeof exported === 'object' && exported !== null && '__esModule' in exported
    ? exported
    : Object(namespace);
}
