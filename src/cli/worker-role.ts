/**
 * The worker's side of a supervisor: how a process learns that it is a worker, and what stops it.
 *
 * A worker drains and ends on the supervisor's order, on SIGTERM, and when the supervisor dies. In the last case it
 * closes the socket first, because the next supervisor needs the port. A second SIGTERM ends it at once. It ignores
 * SIGINT and SIGHUP: a terminal sends them to every process, and the supervisor acts on them.
 */
import type { SendHandle } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Family } from '../base/observe/metric-table.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { EXIT } from './failure.ts';
import type { SignalSource } from './shutdown.ts';

/**
 * This variable carries the number of the worker from 1 on, its `WorkerStart`, and the token of the dashboard that the
 * supervisor made. The worker removes the variable before it reads settings and loads the module.
 */
export const WORKER_VARIABLE = 'SOJOURN_WORKER';
/**
 * `first`: a store on this machine that cannot be opened ends the command. `again`: the worker listens while its store
 * is away. `beside`: it listens once its store is open, because the worker that it replaces serves.
 */
export type WorkerStart = 'first' | 'again' | 'beside';
/** The file descriptor of the socket that the supervisor passes. */
export const WORKER_FD = 3;

export type WorkerRole = NonNullable<ReturnType<typeof takeWorkerRole>>;

/** A connection of a process that another process can take. Node names no type for it. */
export type PassedHandle = object & { close(): void };

/** Both sides are of one build. */
export type Message =
  /** From a worker: it accepts connections. */
  | { readonly sojourn: 'listening' }
  /** From a worker: it drains and then ends. */
  | { readonly sojourn: 'leaving' }
  /** From the supervisor: report the metrics. */
  | { readonly sojourn: 'measure' }
  | { readonly sojourn: 'metrics'; readonly families: readonly Family[] }
  /** From a worker, with a connection that worker `to` is to serve, or any other worker. `bytes` were read from it. */
  | { readonly sojourn: 'pass'; readonly to?: number; readonly bytes: Uint8Array }
  /** From either side: say `awake`. A process that is frozen or computes does not, and gets no connection. */
  | { readonly sojourn: 'wake' }
  | { readonly sojourn: 'awake' }
  /** From the supervisor, with a connection that this worker is to serve. */
  | { readonly sojourn: 'passed'; readonly bytes: Uint8Array }
  /**
   * From the supervisor: drain. `socketCloses` says that no other process holds the socket any more. Running calls have
   * `timeoutMs` to end.
   */
  | { readonly sojourn: 'drain'; readonly socketCloses: boolean; readonly timeoutMs: number };

export type MessageOf<Kind extends Message['sojourn']> = Extract<
  Message,
  { readonly sojourn: Kind }
>;

/** The channel between a supervisor and a worker, on either side. */
export interface MessageChannel {
  /** Emits what the other side sends. */
  readonly received: EventEmitter;
  /** A message that cannot be sent is lost: the other process has ended. */
  send(message: Message): void;
}

/** Emits what the other side sends, by its kind, with the connection that came along. Loaders such as tsx use the same channel: theirs is ignored. */
export function messagesFrom(channel: Pick<NodeJS.EventEmitter, 'on'>): EventEmitter {
  const messages = new EventEmitter();
  channel.on('message', (message: unknown, handle?: PassedHandle) => {
    if (isObject(message) && typeof message['sojourn'] === 'string')
      messages.emit(message['sojourn'], message, handle);
  });
  return messages;
}

/** `undefined`: this process has no supervisor. */
export function takeWorkerRole(self: NodeJS.Process) {
  const [number, start, dashboardToken] = (self.env[WORKER_VARIABLE] ?? '').split(' ');
  delete self.env[WORKER_VARIABLE];
  if (!(Number(number) > 0) || self.send === undefined) return undefined;
  const signals: SignalSource = new EventEmitter();
  let stopping = false;
  let signalled = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // A worker without a listener does not serve yet, and has no sessions to hand over.
    if (!signals.emit('SIGTERM')) self.exit(EXIT.failed);
  };
  // Not with the `once` of Node, which rejects where the channel reports that a message of the module was not sent.
  const orphaned = self.connected
    ? new Promise((resolve) => self.once('disconnect', resolve))
    : Promise.resolve();
  void orphaned.then(stop);
  self.on('SIGTERM', () => {
    if (signalled) signals.emit('SIGTERM');
    signalled = true;
    stop();
  });
  for (const terminal of ['SIGINT', 'SIGHUP'] as const) self.on(terminal, () => {});
  const role = {
    number: Number(number),
    start: start as WorkerStart,
    /** Resolves when the supervisor is dead. */
    orphaned,
    /** The token of the dashboard that the supervisor made. */
    dashboardToken,
    /** What the supervisor's order to drain says. */
    drainOrder: undefined as MessageOf<'drain'> | undefined,
    /** Emits the orders of the supervisor. */
    orders: messagesFrom(self),
    /** Emits a signal for each thing that stops this worker. */
    signals,
    // Errors are ignored: `disconnect` reports the death of the supervisor.
    report: (message: Message): void => void self.send?.(message, undefined, undefined, () => {}),
    /** Resolves with `false` when the connection was not sent, and stays with this process. */
    pass: (message: MessageOf<'pass'>, handle: object) =>
      new Promise<boolean>((resolve) => {
        // Node sends the handle of a connection, and has no type for it.
        const sent = handle as SendHandle;
        self.send?.(message, sent, undefined, (error) => resolve(error === null));
      }),
    /** This worker drains. The supervisor answers with its order, which is no second signal. */
    leave() {
      stopping = true;
      role.report({ sojourn: 'leaving' });
    },
  };
  role.orders.on('drain', (order: MessageOf<'drain'>) => {
    if (!stopping) role.drainOrder = order;
    stop();
  });
  return role;
}
