/**
 * The requests of one connection that have no answer yet. Each is answered, refused, or fails at its deadline.
 */
import { afterReading } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import { noAnswer } from '../shared/failures.ts';
import type { NatsMessage } from './client.ts';

export interface PendingRequestsOptions {
  /** For error texts, without secrets. */
  readonly where: string;
  readonly time: TimeProvider;
  /** On the monotonic clock, as deadlines are. */
  now(): number;
  /** A deadline was missed. */
  late(): void;
}

interface PendingRequest {
  readonly subject: string;
  readonly timer: unknown;
  resolve(message: NatsMessage | undefined): void;
  reject(error: Error): void;
}

export class PendingRequests {
  readonly #options: PendingRequestsOptions;
  readonly #pending = new Map<number, PendingRequest>();
  #requests = 0;

  constructor(options: PendingRequestsOptions) {
    this.#options = options;
  }

  /** Returns the number of the request. One of the two functions is called, once. */
  add(
    subject: string,
    deadline: number,
    resolve: (message: NatsMessage | undefined) => void,
    reject: (error: Error) => void = () => undefined,
  ): number {
    const { time, now } = this.#options;
    const no = this.#requests++;
    const since = now();
    // Reads what has arrived first: a process that was busy for long has its answers already.
    const timer = time.setTimeout(() => afterReading(() => this.#late(no, since)), Math.max(1, deadline - since));
    this.#pending.set(no, { subject, timer, resolve, reject });
    return no;
  }

  /** `undefined`: its subject has no listener, or the request needs no message. */
  resolve(no: number, message: NatsMessage | undefined): void {
    this.#take(no)?.resolve(message);
  }

  reject(no: number, error: Error): void {
    this.#take(no)?.reject(error);
  }

  /** Its caller waits for it no more. */
  forget(no: number): void {
    this.#take(no);
  }

  rejectSubject(subject: string, error: Error): void {
    for (const [no, pending] of this.#pending) if (pending.subject === subject) this.reject(no, error);
  }

  rejectAll(error: Error): void {
    for (const no of this.#pending.keys()) this.reject(no, error);
  }

  #take(no: number): PendingRequest | undefined {
    const pending = this.#pending.get(no);
    this.#pending.delete(no);
    if (pending !== undefined) this.#options.time.clearTimeout(pending.timer);
    return pending;
  }

  #late(no: number, since: number): void {
    const { where, now, late } = this.#options;
    const pending = this.#take(no);
    if (pending === undefined) return;
    pending.reject(noAnswer(where, now() - since));
    late();
  }
}
