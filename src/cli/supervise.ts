/** `sojourn serve <module> --workers N`: holds the socket, keeps the workers at work, and stays until told to stop. */
import { closeSync, openSync } from 'node:fs';
import { pino } from 'pino';
import type { Logger } from '../types.ts';
import { Failure, reason } from './failure.ts';
import { bindSocket, passedSocket, type HeldSocket } from './held-socket.ts';
import { writePid } from './pid-file.ts';
import { listenProblem, warnOfSettings } from './serve.ts';
import type { ServeSettings } from './settings.ts';
import { untilStopped, type SignalSource } from './shutdown.ts';
import { Supervisor } from './supervisor.ts';
import { WorkerProcess, type WorkerCommand } from './worker-process.ts';

export interface SuperviseContext {
  readonly signals: SignalSource & HangupSource;
  /** A listening socket that was passed to the process. */
  readonly fd: number | undefined;
  /** What each worker runs. */
  readonly command: Omit<WorkerCommand, 'fd'>;
  out(text: string): void;
}

export interface HangupSource {
  on(signal: 'SIGHUP', listener: () => void): unknown;
  emit(signal: 'SIGTERM'): unknown;
}

/** Resolves with the exit code, once no worker is left. */
export async function supervise(settings: ServeSettings, context: SuperviseContext): Promise<number> {
  const { workers, drainTimeoutMs } = settings;
  const logger: Logger = pino({ level: settings.logLevel }, pino.destination({ fd: 2, sync: true }));
  warnOfSettings(settings, context.fd, logger);
  const socket = await hold(settings, context.fd);
  const command: WorkerCommand = { ...context.command, fd: socket.fd };
  const supervisor = new Supervisor({
    workers,
    drainTimeoutMs,
    logger,
    launch: (number) => new WorkerProcess(number, command),
  });
  const stopped = untilStopped(context.signals, () => performance.now(), {
    async finish(signal) {
      context.out(`${signal}: draining, for at most ${drainTimeoutMs} ms; once more ends at once\n`);
      socket.release();
      if ((await supervisor.stop(!socket.isPassed)) !== 0)
        throw new Error('not every worker came to the end of its drain');
      logger.info({ signal, workers }, 'drained');
    },
    abandoned(signal) {
      logger.warn({ signal }, 'ended before the drain was done');
      supervisor.kill();
    },
    failed: (error) => logger.fatal({ err: error }, `shutdown failed: ${reason(error)}`),
  });
  onHangup(context.signals, () => void supervisor.roll());
  const started = await Promise.race([supervisor.start(), supervisor.failure]);
  if (started === undefined) return Promise.race([stopped, supervisor.failure]);
  if ('code' in started) return started.code;
  const removePid = writePid(settings.pidFile);
  context.out(started.banner);
  return Promise.race([stopped, supervisor.failure]).finally(removePid);
}

async function hold(settings: ServeSettings, fd: number | undefined): Promise<HeldSocket> {
  if (process.platform === 'win32')
    throw new Failure('several workers need a Unix system: sockets are passed to processes there');
  if (fd !== undefined) return passedSocket(fd);
  try {
    return await bindSocket(settings.host, settings.port);
  } catch (error) {
    throw new Failure(listenProblem(error, settings, undefined), { cause: error });
  }
}

/** A terminal that is closed sends SIGHUP too, and that is no wish for a restart. */
function onHangup(signals: SuperviseContext['signals'], restart: () => void): void {
  const terminal = hasTerminal();
  signals.on('SIGHUP', () => {
    if (terminal && !hasTerminal()) signals.emit('SIGTERM');
    else restart();
  });
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
