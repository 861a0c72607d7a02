/**
 * Signs every message that leaves this instance, and refuses what arrives without a valid signature. It wraps the
 * instance directory of a store, so that no other code sends or receives messages. Messages within one process are
 * passed by reference and not signed.
 *
 * The signature is a member of the message, `mac`: one letter and HMAC-SHA256 in base64url. `d`: for one instance;
 * `a`: for all others. It covers the deployment, the sender, the receiver and the JSON text of the message, so that a
 * message cannot be passed on to another receiver or under another sender. The receiver writes the parsed message as
 * JSON again: `JSON.stringify` gives the same text for what it wrote and `JSON.parse` read.
 *
 * A copy of a message is accepted again. Links drop items that arrived before, and a copy does not count as a sign of
 * life of its sender. A repeated bus event is harmless.
 *
 * Builds before 0.2 sign nothing. With the store's key among the keys their messages are accepted, as long as their
 * lease shows such a version. Without the store's key every unsigned message is refused.
 *
 * What is refused is counted and not answered. The log has one line for each sender, and more after pauses that double.
 */
import { BoundedMap } from '../bounded-map.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { shown } from '../shown.ts';
import { signsMessages } from '../protocol/versions.ts';
import type { InstanceLease, InstanceMessage, InstanceStore, MaybePromise, OpenStore } from '../stores/store.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { RepeatedLines } from '../options/repeated-lines.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { MessageKeys } from './message-keys.ts';

type Receive = (from: string, message: InstanceMessage) => void;
type Refusal = 'unsigned' | 'wrong signature';

/** Instances of older builds that are remembered; more are looked up again. */
const OLDER_KEPT = 1_000;
/** Leases that are read at the same time for unsigned messages. Further unsigned messages are refused. */
const LOOKUPS = 64;

export interface SignedMessagesOptions {
  readonly directory: InstanceStore;
  /** The endpoint's `name`. */
  readonly deployment: string;
  readonly keys: MessageKeys;
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
}

export class SignedMessages implements InstanceStore {
  readonly #options: SignedMessagesOptions;
  /** The ids of this instance that are announced. */
  readonly #own = new Set<string>();
  readonly #older = new BoundedMap<string, true>(OLDER_KEPT);
  readonly #lookups = new Map<string, Promise<boolean>>();
  readonly #lines: RepeatedLines;
  #refused = 0;

  constructor(options: SignedMessagesOptions) {
    this.#options = options;
    this.#lines = new RepeatedLines(options.time);
  }

  /** How many messages were refused so far. */
  get refused(): number {
    return this.#refused;
  }

  async announce(lease: InstanceLease, receive: Receive, lost?: () => void): Promise<void> {
    const { directory, keys } = this.#options;
    await keys.load();
    const { id } = lease;
    this.#own.add(id);
    try {
      await directory.announce(lease, (from, message) => this.#receive(from, id, message, receive), lost);
    } catch (error) {
      this.#own.delete(id);
      throw error;
    }
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<'sent' | 'suspect'> {
    return this.#options.directory.send(from, to, this.#signed(from, to, message));
  }

  publish(from: string, message: InstanceMessage): MaybePromise<void> {
    return this.#options.directory.publish(from, this.#signed(from, null, message));
  }

  renew(id: string, state: InstanceLease['state']): MaybePromise<boolean> {
    return this.#options.directory.renew(id, state);
  }

  read(id: string): MaybePromise<InstanceLease | undefined> {
    return this.#options.directory.read(id);
  }

  list(): MaybePromise<readonly InstanceLease[]> {
    return this.#options.directory.list();
  }

  bury(lease: InstanceLease): MaybePromise<boolean> {
    return this.#options.directory.bury(lease);
  }

  leave(id: string): MaybePromise<void> {
    this.#own.delete(id);
    return this.#options.directory.leave(id);
  }

  #signed(from: string, to: string | null, message: InstanceMessage): InstanceMessage {
    const signature = this.#options.keys.sign(this.#text(from, to, message));
    return { ...message, mac: `${to === null ? 'a' : 'd'}${signature}` };
  }

  /** The text that a signature covers. `to` is `null` in messages to all others. */
  #text(from: string, to: string | null, message: InstanceMessage): string {
    return `${JSON.stringify([this.#options.deployment, from, to])}\n${JSON.stringify(message)}`;
  }

  #receive(from: string, to: string, received: InstanceMessage | null, receive: Receive): void {
    // A store passes on whatever JSON it finds in a mailbox.
    if (!isObject(received)) return this.#refuse(from, 'unsigned');
    const { mac, ...message } = received;
    const verdict = mac === undefined ? this.#isOlder(from) : this.#isSigned(from, to, message, mac);
    const settle = (accepted: boolean): void => {
      if (accepted) receive(from, message);
      else this.#refuse(from, mac === undefined ? 'unsigned' : 'wrong signature');
    };
    if (verdict instanceof Promise) this.#later(verdict, to, settle);
    else settle(verdict);
  }

  /** Whether a key fits, or a key that the store may hold by now. */
  #isSigned(from: string, to: string, message: InstanceMessage, mac: unknown): boolean | Promise<boolean> {
    if (this.#fits(from, to, message, mac)) return true;
    const reloaded = this.#options.keys.reload();
    return reloaded === undefined ? false : reloaded.then(() => this.#fits(from, to, message, mac));
  }

  #fits(from: string, to: string, message: InstanceMessage, mac: unknown): boolean {
    if (typeof mac !== 'string') return false;
    const receiver = mac[0] === 'd' ? to : null;
    if (receiver === null && mac[0] !== 'a') return false;
    try {
      return this.#options.keys.accepts(this.#text(from, receiver, message), mac.slice(1));
    } catch {
      // The message is nested too deeply for `JSON.stringify`. No instance sends such a message.
      return false;
    }
  }

  /** Whether the lease of a sender shows a build that does not sign. Known at once after the first time. */
  #isOlder(from: string): boolean | Promise<boolean> {
    if (!this.#options.keys.usesStore) return false;
    if (this.#older.has(from)) return true;
    const running = this.#lookups.get(from);
    if (running !== undefined) return running;
    if (this.#lookups.size >= LOOKUPS) return false;
    const lookup = this.#look(from).finally(() => this.#lookups.delete(from));
    this.#lookups.set(from, lookup);
    return lookup;
  }

  async #look(from: string): Promise<boolean> {
    const lease = await this.#options.directory.read(from);
    if (lease === undefined || signsMessages(lease.version)) return false;
    this.#older.set(from, true);
    return true;
  }

  /** Messages of one sender that wait for the same answer are received in their order. */
  #later(checked: Promise<boolean>, to: string, settle: (accepted: boolean) => void): void {
    const { logger } = this.#options;
    void checked
      .catch((err: unknown) => {
        logger.debug(
          { err },
          'A message of another instance could not be checked: the session store cannot be reached',
        );
        return false;
      })
      .then((accepted) => {
        if (this.#own.has(to)) settle(accepted);
      })
      .catch((err: unknown) => logger.error({ err }, 'A message of another instance could not be handled'));
  }

  #refuse(from: string, why: Refusal): void {
    this.#refused += 1;
    const instance = shown(from);
    this.#lines.note(`${why} ${instance}`, (refused) =>
      this.#options.logger.error(
        { instance, refused },
        why === 'unsigned'
          ? 'A message between instances was refused: it has no signature'
          : 'A message between instances was refused: its signature fits no key of this instance; every instance of a ' +
              'deployment needs the same instanceKeys',
      ),
    );
  }
}

/** The instance directory of a store that other processes use too. */
export function signedDirectory(
  store: Pick<OpenStore, 'instances' | 'secret'>,
  { instanceKeys, name, leaseMs, timeProvider, logger }: ResolvedOptions,
): InstanceStore {
  const keys = new MessageKeys({ keys: instanceKeys, store, time: timeProvider, leaseMs, logger });
  return new SignedMessages({ directory: store.instances, deployment: name, keys, time: timeProvider, logger });
}
