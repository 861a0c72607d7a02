/**
 * The keys that sign the messages between instances, one of each of the option `secrets`. The first key signs, and
 * every key is accepted.
 *
 * The word `store` among them means a secret that the store creates once for the deployment. It is read with
 * each announcement of an instance id. A store that lost its last writes may have lost the secret too, and the next
 * instance then creates another. So it is read again when a signature fits no key, at most once in a lease time; links
 * send again what was refused until then. The earlier secret is still accepted, because other instances may not have
 * read the new one yet.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { STORE_SECRET } from '../base/options/defaults.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { sealingKey } from '../base/protocol/sealed-text.ts';
import type { OpenStore } from '../stores/store.ts';
import { SECRET_LOST } from '../base/observe/lost-data.ts';

const FINGERPRINT_CHARACTERS = 16;
const SECRET_NAME = 'instance-messages';
/** Domain separation, so that the same secret also gives the keys of `ctx.requestState`. */
const LABEL = 'sojourn messages between instances v1';

export type MessageKeysOptions = Pick<
  ResolvedOptions,
  'secrets' | 'leaseMs' | 'timeProvider' | 'logger'
>;

export class MessageKeys {
  readonly #store: Pick<OpenStore, 'secret'>;
  readonly #options: MessageKeysOptions;
  /** Derived keys in the order of the option. In the place of the store's: its present secret, then the one before. */
  #all: readonly Uint8Array[];
  #secret: string | undefined;
  #ofStore: readonly Uint8Array[] = [];
  #readAt = -Infinity;

  constructor(store: Pick<OpenStore, 'secret'>, options: MessageKeysOptions) {
    this.#store = store;
    this.#options = options;
    this.#all = this.#derived();
  }

  /** @throws StoreAway when the store's secret is needed and cannot be read. */
  async load(): Promise<void> {
    const { secrets, timeProvider: time, logger } = this.#options;
    if (!secrets.includes(STORE_SECRET)) return;
    this.#readAt = time.monotonic();
    const secret = await this.#store.secret(SECRET_NAME);
    const text = Buffer.from(secret).toString('base64');
    if (text === this.#secret) return;
    this.#secret = text;
    const before = this.#ofStore.slice(0, 1);
    if (before.length > 0) logger.fatal({}, SECRET_LOST);
    this.#ofStore = [sealingKey(secret, LABEL), ...before];
    this.#all = this.#derived();
  }

  #derived(): Uint8Array[] {
    return this.#options.secrets.flatMap((secret) =>
      secret === STORE_SECRET ? this.#ofStore : sealingKey(secret, LABEL),
    );
  }

  /** Reads the store's secret again, if that was not done within a lease time. */
  reload(): void {
    const { timeProvider: time, leaseMs, logger } = this.#options;
    if (time.monotonic() - this.#readAt < leaseMs) return;
    this.load().catch((err: unknown) =>
      logger.debug({ err }, 'The secret of the deployment could not be read again'),
    );
  }

  /** What tells other instances in the lease which keys this one accepts. The first key signs. */
  get fingerprints(): string[] {
    return this.#all.map((key) =>
      mac(key, 'fingerprint').toString('base64url').slice(0, FINGERPRINT_CHARACTERS),
    );
  }

  sign(text: string): string {
    const [key] = this.#all;
    if (key === undefined) throw new Error('no message is sent before an instance is announced');
    return mac(key, text).toString('base64url');
  }

  /** Takes the same time for every wrong signature of the right length. */
  accepts(text: string, signature: string): boolean {
    const given = Buffer.from(signature, 'base64url');
    return this.#all.some((key) => {
      const right = mac(key, text);
      return given.length === right.length && timingSafeEqual(given, right);
    });
  }
}

function mac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
