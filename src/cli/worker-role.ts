/**
 * This process as one of several workers: how it learns that from its supervisor, and how it is stopped.
 *
 * It ends by a drain, whoever asks: the supervisor, a SIGTERM of its own, or the supervisor's death. A second SIGTERM ends
 * it at once. SIGINT and SIGHUP, which a terminal sends to every process, are the supervisor's to act on.
 */
import { EventEmitter } from 'node:events';
import { EXIT } from './failure.ts';
import type { SignalSource } from './shutdown.ts';
import { isOrder, type WorkerReport } from './worker-messages.ts';

/** Which worker this is: 1, 2 … Set by the supervisor alone, and taken away before anybody reads settings. */
export const WORKER_VARIABLE = 'SOJOURN_WORKER';
/** Where the supervisor passes the socket. */
export const WORKER_FD = 3;

export interface WorkerRole {
  readonly number: number;
  /** The socket closes with this worker: no other process holds it. */
  readonly socketCloses: boolean;
  /** What stops this worker, as signals. */
  readonly signals: SignalSource;
  tell(report: WorkerReport): void;
}

/** What a worker is of its process. */
export interface WorkerSelf {
  readonly env: NodeJS.ProcessEnv;
  on(event: 'message' | 'disconnect' | NodeJS.Signals, listener: (message: unknown) => void): unknown;
  send?: ((message: unknown, done: () => void) => unknown) | undefined;
  readonly connected: boolean;
  exit(code: number): void;
}

/** `undefined`: this process is nobody's worker. */
export function takeWorkerRole(self: WorkerSelf): WorkerRole | undefined {
  const number = Number(self.env[WORKER_VARIABLE]);
  delete self.env[WORKER_VARIABLE];
  if (!(number > 0) || self.send === undefined) return undefined;
  const signals = new EventEmitter();
  let stopping = false;
  let signalled = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // Nobody listens before it serves; then there is nothing to hand over.
    if (!signals.emit('SIGTERM')) self.exit(EXIT.failed);
  };
  let socketCloses = false;
  self.on('message', (message) => {
    if (!isOrder(message)) return;
    if (!stopping) socketCloses = message.socketCloses === true;
    stop();
  });
  self.on('disconnect', stop);
  // It was killed before anybody listened for that.
  if (!self.connected) stop();
  self.on('SIGTERM', () => {
    if (signalled) signals.emit('SIGTERM');
    signalled = true;
    stop();
  });
  for (const terminal of ['SIGINT', 'SIGHUP'] as const) self.on(terminal, () => {});
  return {
    number,
    get socketCloses() {
      return socketCloses;
    },
    signals,
    // A supervisor that is gone is noticed by `disconnect`.
    tell: (report) => void self.send?.(report, () => {}),
  };
}
