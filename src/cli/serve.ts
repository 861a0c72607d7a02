/**
 * `sojourn serve <module>` and `sojourn stdio`: loads what is served, creates the endpoint,
 * listens, and runs until a signal stops it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SojournError, type StoreProblem } from '../base/errors/sojourn-error.ts';
import type { Listening } from '../http/listen/listen.ts';
import { markServed } from '../base/this-process.ts';
import { type EndpointInternals, internalsOf } from '../endpoint/internals.ts';
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import type { Logger } from '../base/types.ts';
import { banner, type BannerFacts, clientNameOf, clientUrl } from './banner.ts';
import { serveDashboard } from './dashboard.ts';
import { EXIT, Failure, listenProblem, UsageError, reason } from './failure.ts';
import { INSTANCE_LINES } from '../base/observe/log-lines.ts';
import { cliLogger, inTerminal } from './log.ts';
import { serveMetrics } from './metrics-server.ts';
import { resolvedOf, type ServerModule, type ServerSource } from './server-module.ts';
import { mergeOptions, type ServeSettings, warnOfSettings } from './settings.ts';
import { exportRest, withTelemetry } from './telemetry.ts';
import { type SignalSource, type Stoppable, untilStopped } from './shutdown.ts';
import { type ChosenStore, projectStore, storeOf } from './store-url.ts';
import { PassedConnections } from './passed-connections.ts';
import type { WorkerRole } from './worker-role.ts';

const STORE_UNAVAILABLE =
  'rolling restart: the session store of the new worker is away; the old worker serves until it is open';
/** Between two looks at a store that is away. */
const STORE_PAUSE_MS = 100;
/** The sessions of one edit arrive together. */
const ARRIVAL_MS = 50;

export interface ServeContext {
  readonly cwd: string;
  readonly signals: SignalSource;
  /** File descriptor of a listening socket that was passed to this process. */
  readonly fd: number | undefined;
  /** Set when this process is one of several. */
  readonly worker: WorkerRole | undefined;
  /** Writes the banner to stdout. Log lines go to stderr. */
  out(text: string): void;
}

/** Resolves with the exit code, once the endpoint has ended. */
export async function serve(
  source: ServerSource,
  settings: ServeSettings,
  context: ServeContext,
): Promise<number> {
  const { worker } = context;
  const { name: module } = source;
  const loading = await load(source, settings, context);
  const { logger, loaded, options, resolved, chosen, watch } = loading;
  const { server: definition, paths = [settings.path] } = loaded;
  const { createMcpEndpoint } = await import('../index.ts');
  markServed();
  // The endpoint changes the class of its server.
  const isOne = paths.length === 1;
  const clientName = inTerminal() && isOne ? clientNameOf(definition, module) : undefined;
  const endpoint = createMcpEndpoint(definition, options);
  watch?.(endpoint);
  const signals = worker?.signals ?? context.signals;
  const internals = internalsOf(endpoint);
  if (internals !== undefined) {
    internals.drainOrdered = () => void (signals.emit('SIGTERM') || process.exit(EXIT.failed));
    if (worker !== undefined && settings.workers > 1)
      servesBeside(internals, worker, settings.workers);
  }
  if (worker?.start === 'beside') await storeOpens(endpoint, logger);
  const { server, away } = await opened(
    endpoint,
    module,
    { ...settings, path: paths },
    context,
    chosen,
  );
  const { url, address } = server;
  const at = { url, address, clientUrl: clientUrl(url, resolved) };
  const dashboard = serveDashboard(
    endpoint,
    settings.dashboard,
    settings.drainTimeoutMs,
    at,
    worker?.dashboardToken,
  );
  if (settings.dev) announceTo(endpoint);
  if (worker !== undefined) obey(worker, endpoint, settings);
  if (settings.metrics !== undefined && worker === undefined)
    await serveMetrics(settings.metrics, endpoint.metrics, logger);
  const stopped = untilStopped(
    signals,
    logger,
    stopping(endpoint, server, loaded, settings, context, logger),
  );
  // A terminal closes, or its user means the supervisor of a durable store.
  if (worker === undefined)
    context.signals.on('SIGHUP', () => {
      logger.info({ signal: 'SIGHUP' }, 'no supervisor starts another process, so this one ends');
      signals.emit('SIGTERM');
    });
  // Printed last, because a parent may send a signal as soon as it reads the banner.
  const shown = { url, paths: paths.slice(1), address, dashboard, away, clientName };
  const text = bannerOf(endpoint, settings, loading, shown);
  if (worker === undefined || worker.start === 'first') context.out(text);
  worker?.report({ sojourn: 'listening' });
  return stopped;
}

/** The worker shares its socket with others. */
function servesBeside(internals: EndpointInternals, worker: WorkerRole, count: number): void {
  internals.ids.name(worker.number);
  internals.passConnections = (...of) => {
    const connections = new PassedConnections(worker, count, ...of);
    return () => connections.closeUnread();
  };
}

/** What a worker does for its supervisor, which serves the metrics of all workers, or without it. */
function obey(
  worker: WorkerRole,
  endpoint: McpEndpoint,
  { drainTimeoutMs: timeoutMs }: ServeSettings,
): void {
  const families = () => internalsOf(endpoint)?.families() ?? [];
  worker.orders.on('measure', () => worker.report({ sojourn: 'metrics', families: families() }));
  void worker.orphaned.then(() =>
    internalsOf(endpoint)?.drain({ timeoutMs, stopListening: 'now' }),
  );
}

/** `away`: why the store could not be opened. */
function bannerOf(
  endpoint: McpEndpoint,
  settings: ServeSettings,
  { loaded: { server: definition }, resolved, chosen }: Awaited<ReturnType<typeof load>>,
  {
    away,
    ...at
  }: Pick<BannerFacts, 'url' | 'paths' | 'address' | 'dashboard' | 'clientName'> & {
    readonly away: StoreProblem | undefined;
  },
): string {
  return banner({
    ...at,
    allowAnyone: settings.allowAnyone,
    options: resolved,
    definition,
    workers: settings.workers > 1 ? settings.workers : undefined,
    store: chosen?.store.durable === true ? chosen.shown : undefined,
    storeUnavailable: endpoint.health().store === 'unavailable' ? away : undefined,
  });
}

/** What a signal to stop makes of a process that serves. */
const stopping = (
  endpoint: McpEndpoint,
  server: Listening,
  loaded: ServerModule,
  { dev, drainTimeoutMs }: ServeSettings,
  { worker }: ServeContext,
  logger: Logger,
): Stoppable => ({
  async finish(signal) {
    const { timeoutMs = drainTimeoutMs, socketCloses } = worker?.drainOrder ?? {};
    if (worker !== undefined) worker.leave();
    else logger.info({ signal, timeoutMs }, 'draining; a second signal ends the process at once');
    // The next build holds the socket already, so a connected client needs no time to find it.
    const stopListening = dev ? 'now' : true;
    await internalsOf(endpoint)?.drain({ timeoutMs, stopListening, socketCloses });
    await server.close();
    await endpoint.close({ timeoutMs: 0 });
    await loaded.close?.();
    await exportRest();
  },
  interrupted: (signal) =>
    logger.warn({ signal }, 'a second signal ended the process before its drain was done'),
});

/** Listens. `away`: why the store could not be opened. */
async function opened(
  endpoint: McpEndpoint,
  module: string,
  settings: Omit<ServeSettings, 'path'> & { readonly path: readonly string[] },
  { fd, worker }: ServeContext,
  chosen: ChosenStore | undefined,
): Promise<{ readonly server: Listening; readonly away: StoreProblem | undefined }> {
  const { port, host, path, maxConnections, requireStore, origin } = settings;
  const store: { error?: unknown; away?: StoreProblem } = {};
  const isRequired = (error: unknown): boolean => {
    const problem = error instanceof SojournError ? error.storeProblem : undefined;
    const away = problem ?? { what: reason(error), lasting: false };
    Object.assign(store, { error, away });
    // Another worker serves, or has served, with this store.
    if (worker !== undefined && worker.start !== 'first') return false;
    return requireStore ?? (chosen?.remote !== true || away.lasting);
  };
  const where = { port, host, path, maxConnections };
  try {
    // A passed socket replaces port and host. The banner warns of an address that other machines reach.
    const server = await endpoint.listen({
      ...where,
      fd,
      allowAnyone: true,
      requireStore: isRequired,
    });
    return { server, away: store.away };
  } catch (cause) {
    await endpoint.close({ timeoutMs: 0 });
    const { error, away } = store;
    if (away === undefined || cause !== error)
      throw new Failure(listenProblem(cause, host, port, '--port', fd), { cause });
    const named =
      chosen === undefined ? `the store of ${module}` : (origin('store') ?? chosen.shown);
    const isAllowed = away.lasting && chosen?.remote === true && requireStore === undefined;
    const hint = isAllowed ? '\n(--no-require-store serves all the same and keeps trying)' : '';
    throw new Failure(`${named}: ${away.what}${hint}`, { cause });
  }
}

/** Clients whose sessions come from an earlier build list again, because the lists of this one may differ. */
function announceTo({ notify, notices }: McpEndpoint): void {
  let timer: NodeJS.Timeout | undefined;
  const announce = (): void => {
    timer = undefined;
    for (const every of [notify.toolsChanged, notify.promptsChanged, notify.resourcesChanged])
      every();
  };
  notices.on('sessionRestored', () => (timer ??= setTimeout(announce, ARRIVAL_MS).unref()));
}

/** `sojourn dev` replaces its worker at each edit, and says so itself. */
const withoutInstanceLines = (logger: Logger): Logger => ({
  ...logger,
  info: (fields, text) => logger[INSTANCE_LINES.has(text) ? 'debug' : 'info'](fields, text),
});

/** The module, with the options of the command line. */
async function load(
  source: ServerSource,
  settings: ServeSettings,
  { cwd, worker, fd }: ServeContext,
) {
  const { name: module } = source;
  const { dev, storeUrl, logLevel: level, logFormat: format } = settings;
  const given =
    storeUrl === undefined
      ? undefined
      : await storeOf(storeUrl, settings.origin('store') ?? '--store');
  const number = dev ? undefined : worker?.number;
  const lines = cliLogger({ level, worker: number, format });
  const logger = dev ? withoutInstanceLines(lines) : lines;
  const loaded = await source.load({ cwd, logger, worker });
  const { options: own } = loaded;
  // The supervisor of a worker has logged these warnings already.
  if (worker === undefined) warnOfSettings(settings, fd, logger);
  const chosen =
    given ?? (dev && own.store === undefined ? await projectStore(module, cwd) : undefined);
  const { options, watch } = await withTelemetry(
    {
      logger,
      ...((dev || inTerminal()) &&
        own.logger === undefined && { accessLog: true, logErrorMessages: true }),
      ...mergeOptions(own, settings.options),
      ...(chosen && { store: chosen.store }),
    },
    logger,
  );
  const resolved = resolvedOf(`${module}, with those of the command line`, options);
  const { store } = resolved;
  if (worker !== undefined && settings.workers > 1 && store?.durable !== true)
    throw new UsageError(
      `${settings.origin('workers')}: ${settings.workers} processes need a store that they share, and ` +
        `${store?.kind ?? 'memory'}: belongs to one process; use e.g. --store sqlite:./sessions.db, or redis://…`,
    );
  return { logger, loaded, options, resolved, chosen, watch };
}

/** The worker that this one replaces serves until then. */
async function storeOpens({ sessions }: McpEndpoint, logger: Logger): Promise<void> {
  const opens = (): Promise<unknown> => sessions.list({ limit: 1 }).catch(() => undefined);
  if ((await opens()) !== undefined) return;
  logger.warn({}, STORE_UNAVAILABLE);
  while ((await opens()) === undefined) await delay(STORE_PAUSE_MS);
}
