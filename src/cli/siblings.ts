/** The other workers of the supervisor, for a worker that accepts their connections. */
import { nameIds, workerOf } from '../base/worker-ids.ts';
import type {
  UvConnection,
  ConnectionReceiver,
  Siblings,
} from '../http/listen/passed-connections.ts';
import { AwakeCheck } from './awake-check.ts';
import type { MessageOf, WorkerRole } from './worker-role.ts';

/** Connections that the supervisor has not taken yet. Above this number they stay, and their calls are relayed. */
const MAX_PASSING = 64;
/**
 * A supervisor has little to do. If it has not answered by then, it gets no connection and calls
 * are relayed.
 */
const AWAKE_MS = 500;

export class WorkerSiblings implements Siblings {
  readonly #worker: WorkerRole;
  readonly #count: number;
  readonly #supervisor: AwakeCheck;
  #passing = 0;

  /** From now on the ids of new sessions name this worker. `count`: all workers. */
  constructor(worker: WorkerRole, count: number) {
    this.#worker = worker;
    this.#count = count;
    this.#supervisor = new AwakeCheck({ received: worker.orders, send: worker.report }, AWAKE_MS);
    nameIds(worker.number);
  }

  of(sessionId: string): number | undefined {
    const number = workerOf(sessionId);
    return number === this.#worker.number || (number ?? Infinity) > this.#count
      ? undefined
      : number;
  }

  async pass(to: number, bytes: Buffer, handle: UvConnection): Promise<boolean> {
    if (this.#passing >= MAX_PASSING) return false;
    this.#passing += 1;
    const isSent =
      (await this.#supervisor.isAwake()) &&
      (await this.#worker.pass({ sojourn: 'pass', to, bytes }, handle));
    this.#passing -= 1;
    return isSent;
  }

  receiveWith(receiver: ConnectionReceiver): void {
    const { orders } = this.#worker;
    orders.on(
      'passed',
      ({ bytes }: MessageOf<'passed'>, handle?: UvConnection & { close(): void }) => {
        if (handle === undefined || receiver.receive(Buffer.from(bytes), handle)) return;
        void this.#worker
          .pass({ sojourn: 'pass', to: 0, bytes }, handle)
          .then(() => handle.close());
      },
    );
  }
}
