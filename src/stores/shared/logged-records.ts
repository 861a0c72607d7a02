/** The methods of `Records` about logs, which a store passes on to its log. */
import type { AppendRequest, MaybePromise, Records, ReplayOutcome, WriteOutcome } from '../store.ts';

/** A log without `trim` needs none: what is old goes by itself. */
type Log = Pick<Records, 'append' | 'replay'> & Partial<Pick<Records, 'trim'>>;

export class LoggedRecords {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  append(request: AppendRequest): MaybePromise<WriteOutcome> {
    return this.#log.append(request);
  }

  replay(id: string, stream: string, after: number): MaybePromise<ReplayOutcome> {
    return this.#log.replay(id, stream, after);
  }

  trim(): MaybePromise<void> {
    return this.#log.trim?.();
  }
}
