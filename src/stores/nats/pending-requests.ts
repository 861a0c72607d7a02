/**
 * The requests of one connection that have no answer yet. Each is answered, refused, or fails within `TICK_MS` of its
 * deadline.
 */
import { afterTurn } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';
import { noAnswer } from '../shared/failures.ts';
import type { NatsMessage } from './client.ts';

/** How often deadlines are checked. A request may fail this much late. */
const TICK_MS = 25;

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
  readonly since: number;
  readonly deadline: number;
  resolve(message: NatsMessage | undefined): void;
  reject(error: Error): void;
}

export class PendingRequests {
  readonly #options: PendingRequestsOptions;
  readonly #pending = new Map<number, PendingRequest>();
  #requests = 0;
  #ticking: unknown;

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
    const no = this.#requests++;
    const settled = (): void => this.forget(no);
    this.#pending.set(no, {
      subject,
      since: this.#options.now(),
      deadline,
      resolve: (message) => {
        settled();
        resolve(message);
      },
      reject: (error) => {
        settled();
        reject(error);
      },
    });
    this.#arm();
    return no;
  }

  /** `undefined`: its subject has no listener, or the request needs no message. */
  resolve(no: number, message: NatsMessage | undefined): void {
    this.#pending.get(no)?.resolve(message);
  }

  reject(no: number, error: Error): void {
    this.#pending.get(no)?.reject(error);
  }

  /** Its caller waits for it no more. */
  forget(no: number): void {
    this.#pending.delete(no);
  }

  rejectSubject(subject: string, error: Error): void {
    for (const pending of this.#pending.values()) if (pending.subject === subject) pending.reject(error);
  }

  rejectAll(error: Error): void {
    for (const pending of this.#pending.values()) pending.reject(error);
  }

  /** Rejects all; no request may follow. */
  stop(error: Error): void {
    this.#options.time.clearTimeout(this.#ticking);
    this.rejectAll(error);
  }

  #arm(): void {
    this.#ticking ??= this.#options.time.setTimeout(() => {
      // Reads what has arrived first: a process that was busy for long has its answers already.
      afterTurn(() => {
        this.#ticking = undefined;
        this.#lookAtDeadlines();
        if (this.#pending.size > 0) this.#arm();
      });
    }, TICK_MS);
  }

  #lookAtDeadlines(): void {
    const now = this.#options.now();
    let late = false;
    for (const pending of this.#pending.values()) {
      if (pending.deadline > now) continue;
      late = true;
      pending.reject(noAnswer(this.#options.where, now - pending.since));
    }
    if (late) this.#options.late();
  }
}
