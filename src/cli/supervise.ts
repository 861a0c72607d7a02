/**
 * `sojourn serve <module> --workers N`: holds the socket, keeps N workers running, and runs until a signal stops it.
 * `sojourn dev <module>` does the same with one worker, which each edit replaces.
 */
import { closeSync, openSync } from 'node:fs';
import { orUndefined } from '../base/or-undefined.ts';
import type { Logger } from '../base/types.ts';
import { makeToken } from './dashboard.ts';
import { Failure, listenProblem } from './failure.ts';
import { bindSocket, canHoldPort, type HeldSocket } from './held-socket.ts';
import { cliLogger } from './log.ts';
import { serveMetrics } from './metrics-server.ts';
import type { ServeContext } from './serve.ts';
import { type ServeSettings, warnOfSettings } from './settings.ts';
import { untilStopped } from './shutdown.ts';
import { Supervisor } from './supervisor.ts';
import { watchProject } from './watch.ts';
import { workerMetrics } from './worker-metrics.ts';
import { WorkerProcess, type WorkerCommand } from './worker-process.ts';
import type { WorkerStart } from './worker-role.ts';

export interface SuperviseContext extends Omit<ServeContext, 'worker'> {
  /** The program and arguments of each worker. */
  readonly command: Omit<WorkerCommand, 'dashboardToken' | 'fd'>;
}

/** Resolves with the exit code when every worker has ended. */
export async function supervise(
  module: string,
  settings: ServeSettings,
  context: SuperviseContext,
): Promise<number> {
  const { workers, drainTimeoutMs, dev } = settings;
  const logger: Logger = cliLogger({ level: settings.logLevel, format: settings.logFormat });
  warnOfSettings(settings, context.fd, logger);
  const socket = await openSocket(settings, context.fd);
  const command: WorkerCommand = { ...context.command, dashboardToken: makeToken(), fd: socket.fd };
  const launch = (number: number, start: WorkerStart) => new WorkerProcess(number, command, start);
  const supervisor = new Supervisor({ workers, drainTimeoutMs, logger, dev, launch });
  if (settings.metrics !== undefined)
    await serveMetrics(settings.metrics, workerMetrics(supervisor), logger);
  const stopped = untilStopped(context.signals, logger, {
    async finish(signal) {
      if (!dev)
        logger.info(
          { signal, timeoutMs: drainTimeoutMs },
          'draining; a second signal ends all processes at once',
        );
      socket.release();
      if ((await supervisor.stop(context.fd === undefined)) !== 0)
        throw new Error('a worker failed or was killed before its drain was done');
      if (!dev) logger.info({ signal, workers }, 'drained');
    },
    interrupted(signal) {
      if (!dev)
        logger.warn({ signal }, 'a second signal ended the workers before their drain was done');
      supervisor.kill();
    },
  });
  const roll = (): void => void supervisor.roll();
  const terminal = hasTerminal();
  // A terminal that closes sends SIGHUP too.
  context.signals.on(
    'SIGHUP',
    () => void (terminal && !hasTerminal() ? context.signals.emit('SIGTERM') : roll()),
  );
  if (dev) watchProject(context.cwd, logger, roll);
  return Promise.race([stopped, supervisor.run()]);
}

async function openSocket(settings: ServeSettings, fd: number | undefined): Promise<HeldSocket> {
  if (!canHoldPort())
    throw new Failure(
      `${settings.dev ? 'sojourn dev' : '--workers'} needs a Unix system: Windows cannot pass a socket to a process`,
    );
  // The process that passed the socket keeps it.
  if (fd !== undefined) return { fd, release: () => {} };
  try {
    return await bindSocket(settings.host, settings.port);
  } catch (error) {
    throw new Failure(listenProblem(error, settings.host, settings.port), { cause: error });
  }
}

function hasTerminal(): boolean {
  const terminal = orUndefined(() => openSync('/dev/tty', 'r'));
  if (terminal !== undefined) closeSync(terminal);
  return terminal !== undefined;
}
