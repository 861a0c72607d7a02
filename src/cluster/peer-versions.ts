/**
 * Whether the deployment has other instances, and whether one of them has an older version, as in a rolling deploy.
 * Such an instance refuses event ids with suffixes (`event-id.ts`) when it takes a session over, so this instance
 * leaves the suffixes out while one is there.
 *
 * The leases are read at the start, with each renewal of this instance's lease, and after a message from an unknown
 * instance. Until the first list the suffixes are left out. An older instance that starts and sends no message is
 * noticed one renewal later.
 */
import { readsIdSuffixes } from '../protocol/versions.ts';
import type { InstanceLease, MaybePromise } from '../stores/store.ts';
import type { Logger } from '../types.ts';

export interface PeerVersionsOptions {
  list(): MaybePromise<readonly InstanceLease[]>;
  /** The id of this instance. */
  self(): string;
  /** Every instance is in this process, so all have this version. */
  readonly inProcess: boolean;
  readonly logger: Logger;
}

export class PeerVersions {
  readonly #options: PeerVersionsOptions;
  #known: ReadonlySet<string> = new Set();
  #older: boolean;
  #alone = true;
  #reading: Promise<void> | undefined = undefined;
  /** A message from an unknown instance arrived while the leases were read. */
  #again = false;

  constructor(options: PeerVersionsOptions) {
    this.#options = options;
    this.#older = !options.inProcess;
  }

  get idSuffixes(): boolean {
    return !this.#older;
  }

  /** No other instance had a lease when the leases were last read. */
  get alone(): boolean {
    return this.#alone;
  }

  /** A message arrived from this instance. */
  heard(id: string): void {
    if (this.#options.inProcess || this.#known.has(id)) return;
    this.#known = new Set([...this.#known, id]);
    this.#again = this.#reading !== undefined;
    void this.read();
  }

  /** Reads the leases. After a failure the last answer stays. */
  read(): Promise<void> {
    if (this.#options.inProcess) return Promise.resolve();
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    try {
      let leases: readonly InstanceLease[];
      do {
        this.#again = false;
        leases = await this.#options.list();
      } while (this.#again);
      this.#known = new Set(leases.map(({ id }) => id));
      this.#alone = leases.every(({ id }) => id === this.#options.self());
      this.#older = !leases.every(({ version }) => readsIdSuffixes(version));
    } catch (err) {
      this.#options.logger.debug(
        { err },
        'The versions of the other instances could not be read from the session store',
      );
    }
  }
}
