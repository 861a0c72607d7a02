/** What `sojourn stdio` serves: the gateway of its programs. */
import { systemTime, within } from '../base/system.ts';
import { Gateway, pathOf } from '../stdio/gateway.ts';
import { ChildEnded } from '../stdio/child.ts';
import { headersOf, needsUser } from '../stdio/command.ts';
import type { Described } from '../stdio/probe.ts';
import { STDIO_DEFAULTS, type StdioOptions } from '../stdio/stdio-options.ts';
import type { Logger } from '../base/types.ts';
import { Failure, reason, UsageError } from './failure.ts';
import type { Loading, ServerModule } from './server-module.ts';
import type { ServeSettings } from './settings.ts';
import { type StdioRequest, stdioStore } from './stdio.ts';
import { projectFolder } from './store-url.ts';

/** A child may wait for its turn before it starts, and the factory waits for the child. */
const MARGIN_MS = 10_000;

export async function loadPrograms(
  request: StdioRequest,
  settings: ServeSettings,
  { cwd, logger, worker }: Loading,
): Promise<ServerModule> {
  const { name, programs, warnings } = request;
  if (settings.storeUrl === stdioStore(request)) projectFolder(cwd);
  for (const warning of warnings) logger.warn({}, warning);
  const [options = { command: name }] = programs.values();
  const isUserKnown = settings.options.auth !== undefined;
  if (!isUserKnown && needsUser(options.userEnv ?? {}))
    throw new UsageError(
      '--user-env takes variables from users: say who callers are, with --auth-… flags',
    );
  const gateway = new Gateway(programs, logger);
  const probed = greet(gateway, request, logger, {
    isUserKnown,
    isShared: options.oneChild === true,
  });
  // A worker that follows another one serves at once: its supervisor holds the port.
  if (worker === undefined || worker.start === 'first') await probed;
  else probed.catch((error: unknown) => logger.error({ err: error }, 'A program does not start'));
  return { ...served(gateway, request, options), close: () => gateway.close() };
}

function served(gateway: Gateway, { programs }: StdioRequest, options: StdioOptions): ServerModule {
  const { childStartMs = STDIO_DEFAULTS.childStartMs, toolsAsTasks = [], userEnv = {} } = options;
  const { childIdleTimeoutMs = STDIO_DEFAULTS.childIdleTimeoutMs } = options;
  const isOne = programs.has('');
  return {
    server: (ctx) => gateway.server(ctx),
    options: {
      tasks: toolsAsTasks.length > 0 ? {} : false,
      hookTimeoutMs: childStartMs + STDIO_DEFAULTS.startWaitMs + MARGIN_MS,
      relayedHeaders: headersOf(userEnv),
      // A session whose child is stopped needs no server.
      hibernateAfterMs: childIdleTimeoutMs,
      ...(!isOne && { sessionIdGenerator: gateway.sessionIdGenerator }),
    },
    ...(!isOne && { paths: [...programs.keys()].map(pathOf) }),
  };
}

const OWN_CHILD =
  'Without a user each call of 2026-07-28 gets a child of its own: name callers (--auth-…), or share one child if the ' +
  'program keeps nothing of its callers (--one-child)';

/** Says what each program is, and which do not start. Where none does, the command ends. */
async function greet(
  gateway: Gateway,
  { name: request, programs }: StdioRequest,
  logger: Logger,
  { isUserKnown, isShared }: { isUserKnown: boolean; isShared: boolean },
): Promise<void> {
  const begun = performance.now();
  // `npx -y` may first install for many seconds, in silence.
  logger.info({ program: request }, 'A program on stdio starts');
  const starting = new Set<string>(programs.keys());
  const failures: string[] = [];
  let isServing = false;
  const failed = (why: string): void =>
    logger.error({ why }, 'A program does not start: its next call tries again');
  const tell = async (name: string, probing: Promise<Described | Error>): Promise<void> => {
    const found = await probing;
    starting.delete(name);
    if (!(found instanceof Error)) return tellServed(gateway, logger, name, found, begun);
    const said = found instanceof ChildEnded && found.stderr !== '' ? `\n${found.stderr}` : '';
    const named = name === '' ? programs.get(name)?.command : name;
    const why = `cannot serve ${named}: ${reason(found)}${said}`;
    if (isServing) failed(why);
    else failures.push(why);
  };
  const all = Promise.all([...gateway.probe()].map(([name, probing]) => tell(name, probing)));
  const [{ childStartMs = STDIO_DEFAULTS.childStartMs } = {}] = programs.values();
  // The others are served while one takes long.
  await (programs.size === 1 ? all : within(systemTime, childStartMs, all, () => {}));
  if (starting.size + failures.length === programs.size) await all;
  if (failures.length === programs.size) {
    await gateway.close();
    throw new Failure(failures.join('\n'));
  }
  isServing = true;
  for (const why of failures) failed(why);
  for (const name of starting)
    logger.info({ path: pathOf(name) }, 'A program on stdio still starts');
  if (!isUserKnown && !isShared) logger.info({}, OWN_CHILD);
}

function tellServed(
  gateway: Gateway,
  logger: Logger,
  name: string,
  { era, serverInfo }: Described,
  begun: number,
): void {
  const where = name === '' ? {} : { path: pathOf(name) };
  const speaks = era === 'modern' ? '2026-07-28' : '2025';
  const { limit: maxChildren } = gateway.figures;
  const program = `${serverInfo.name} ${serverInfo.version}`.trim();
  const ms = Math.round(performance.now() - begun);
  logger.info({ program, speaks, ...where, ms, maxChildren }, 'A program on stdio is served');
}
