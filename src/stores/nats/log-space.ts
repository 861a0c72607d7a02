/**
 * Room on a JetStream account or server whose storage is full. Leases, records and the log share that storage, so a log
 * without a limit would stop leases too. When a write finds the storage full, a quarter of the log goes, the
 * oldest messages first, as in a log with `maxBytes`.
 */
import { elapse } from '../../base/system.ts';
import type { RandomSource } from '../../base/system.ts';
import type { Logger, TimeProvider } from '../../types.ts';
import { ask } from './jetstream.ts';
import type { NatsLink } from './link.ts';
import { streamName } from './names.ts';

/** The part of the log that stays. */
const KEPT = 3 / 4;
/** Between two purges: time for the server to give the disk back, and for writes to find it. */
const PAUSE_MS = 2_000;
/** Instances notice a full storage together. Each waits for a part of this, and the first one purges. */
const SPREAD_MS = 500;

export interface LogSpaceOptions {
  readonly link: NatsLink;
  readonly prefix: string;
  readonly limited: boolean;
  readonly time: TimeProvider;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** How long a request may take. */
  readonly ms: number;
}

interface Account {
  readonly limits?: { readonly max_storage?: number };
}

interface LogState {
  readonly state?: { readonly first_seq: number; readonly last_seq: number; readonly messages: number };
  readonly config?: { readonly max_bytes?: number };
}

export class LogSpace {
  readonly #options: LogSpaceOptions;
  readonly #log: string;
  #purging = false;
  #checked = false;

  constructor(options: LogSpaceOptions) {
    this.#options = options;
    this.#log = streamName(options.prefix, 'log');
  }

  /**
   * Call it when the streams exist. Warns once of an account with a limit and a log without one. A user may lack the
   * right to ask.
   */
  async checkLimit(): Promise<void> {
    const { limited, logger, link } = this.#options;
    if (limited || this.#checked) return;
    this.#checked = true;
    try {
      const { limits } = await this.#ask<Account>('INFO', {});
      const storage = limits?.max_storage ?? -1;
      if (storage <= 0 || ((await this.#state()).config?.max_bytes ?? -1) > 0) return;
      logger.warn(
        { where: link.where, storage },
        'The storage of this JetStream account is limited, and the log of the store is not: when it is full, leases fail ' +
          'too. Give the store maxBytes, or the log max_bytes: nats stream edit --max-bytes',
      );
    } catch {
      // The answer would only have been a reason to warn.
    }
  }

  /** Call it when a write was refused because the storage is full. */
  makeRoom(): void {
    if (this.#purging) return;
    this.#purging = true;
    const { time, logger } = this.#options;
    void this.#purge()
      .catch((err: unknown) => logger.debug({ err }, 'The log could not be purged; the next refused write tries again'))
      .then(() => elapse(time, PAUSE_MS))
      .then(() => (this.#purging = false));
  }

  async #purge(): Promise<void> {
    const { time, random, logger, link } = this.#options;
    const before = (await this.#state()).state;
    await elapse(time, (SPREAD_MS * (random(1)[0] ?? 0)) / 256);
    const { state } = await this.#state();
    if (state === undefined || state.messages < 2 || state.first_seq !== before?.first_seq) return;
    const seq = Math.ceil(state.last_seq - (state.last_seq - state.first_seq) * KEPT);
    await this.#ask(`STREAM.PURGE.${this.#log}`, { seq });
    logger.fatal(
      { where: link.where, stream: this.#log },
      'The JetStream storage is full: the oldest quarter of the log was removed, so that leases and sessions can be ' +
        'written. Give it more room, or give the store maxBytes',
    );
  }

  #state(): Promise<LogState> {
    return this.#ask<LogState>(`STREAM.INFO.${this.#log}`, {});
  }

  #ask<T>(what: string, request: object): Promise<T> {
    const { link, ms } = this.#options;
    return ask<T>(link, what, request, link.now() + ms);
  }
}
