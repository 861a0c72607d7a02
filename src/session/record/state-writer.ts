/**
 * Stores the changes of `session.state`, each for its caller: the promise of a handler settles with the write. While
 * the store is away, changes wait for it for at most `waitMs`, one after the other.
 */
import { storeAwayForClients } from '../../errors.ts';
import type { RecordChange } from '../../stores/store.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { isStoreAway, whileAway } from './pause.ts';
import type { SessionHost } from '../session-host.ts';
import { stateField } from './session-record.ts';
import type { StateRecord } from './state.ts';

interface WritableRecord {
  /** Whether there is a record to write to. */
  readonly exists: boolean;
  saveOrThrow(change: RecordChange): void | Promise<void>;
}

type StatePatch = Readonly<Record<string, string | null>>;

export class StateWriter implements StateRecord {
  readonly #host: SessionHost;
  readonly #ownership: Ownership;
  readonly #record: WritableRecord;
  /** Changes that wait for the store. */
  #waiting: Promise<void> | undefined = undefined;

  constructor(host: SessionHost, ownership: Ownership, record: WritableRecord) {
    this.#host = host;
    this.#ownership = ownership;
    this.#record = record;
  }

  storeState(patch: StatePatch): void | Promise<void> {
    if (!this.#record.exists) return undefined;
    if (this.#waiting !== undefined) return this.#storeLater(patch);
    try {
      return this.#record.saveOrThrow(changeOf(patch))?.catch((cause: unknown) => this.#refused(patch, cause));
    } catch (cause) {
      return this.#refused(patch, cause);
    }
  }

  #refused(patch: StatePatch, cause: unknown): Promise<void> {
    return isStoreAway(cause) ? this.#storeLater(patch) : this.#failed(cause);
  }

  #storeLater(patch: StatePatch): Promise<void> {
    const { timeProvider: time, waitMs } = this.#host.options;
    const wait = { time, waitMs, stopped: () => this.#ownership.left };
    const stored = (this.#waiting ?? Promise.resolve()).then(() =>
      whileAway(wait, () => this.#record.saveOrThrow(changeOf(patch))),
    );
    const clear = (): void => {
      if (this.#waiting === settled) this.#waiting = undefined;
    };
    const settled: Promise<void> = stored.then(clear, clear);
    this.#waiting = settled;
    return stored.catch((cause: unknown) => this.#failed(cause));
  }

  /** A handler may pass a caught error to its client, so details that only operators should read go to the log. */
  #failed(err: unknown): never {
    const told = storeAwayForClients('session.state', err);
    // Every other error reaches the handler unchanged, above all that another instance owns the session.
    if (told !== err) {
      const { sessionId } = this.#ownership;
      this.#host.logger.warn({ err, sessionId }, 'A change of session.state could not be stored');
    }
    throw told;
  }
}

const changeOf = (patch: StatePatch): RecordChange => ({
  fields: Object.fromEntries(Object.entries(patch).map(stateField)),
});
