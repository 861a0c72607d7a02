/**
 * Signs every message that leaves this instance, and refuses what arrives without a valid signature. Messages within one
 * process are passed by reference and not signed: there the store itself is the `Messages`.
 *
 * The signature is a member of the message, `mac`: one letter and HMAC-SHA256 in base64url. `d`: for one instance;
 * `a`: for all others. It covers the deployment, the sender, the receiver and the JSON text of the message, so that a
 * message cannot be passed on to another receiver or under another sender. The receiver writes the parsed message as
 * JSON again: `JSON.stringify` gives the same text for what it wrote and `JSON.parse` read.
 *
 * A copy of a message is accepted again. Links drop items that arrived before, and a copy does not count as a sign of
 * life of its sender. A repeated bus event is harmless. A repeated `notify` reaches its clients again (SECURITY.md).
 *
 * What is refused is not answered, and the log says so every few seconds.
 */
import { isObject } from '../base/protocol/jsonrpc.ts';
import { shown } from '../base/shown.ts';
import type {
  InstanceLease,
  InstanceMessage,
  InstanceStore,
  MaybePromise,
  OpenStore,
} from '../stores/store.ts';
import { LASTING_MS, limitedLogger } from '../base/options/log-limit.ts';
import type { Receive } from '../stores/shared/instances.ts';
import type { Logger } from '../base/types.ts';
import { MessageKeys, type MessageKeysOptions } from './message-keys.ts';

/** Where messages of instances leave and arrive. */
export type Messages = Pick<InstanceStore, 'announce' | 'send' | 'publish'>;
/** All else that a store keeps of instances. */
export type Directory = Omit<InstanceStore, keyof Messages>;

type SignatureFault = 'unsigned' | 'wrong signature';

export class SignedMessages implements Messages {
  readonly #sent: Messages;
  /** The endpoint's option `deployment`. */
  readonly #deployment: string;
  readonly #keys: MessageKeys;
  readonly #logger: Logger;

  constructor(
    store: Pick<OpenStore, 'instances' | 'secret'>,
    options: MessageKeysOptions & { readonly deployment: string },
  ) {
    this.#sent = store.instances;
    this.#deployment = options.deployment;
    this.#keys = new MessageKeys(store, options);
    this.#logger = limitedLogger(options.logger, options.timeProvider, 1, LASTING_MS);
  }

  /** For a sender without a lease: makes sure that there is a key to sign with. */
  load(): Promise<void> {
    return this.#keys.load();
  }

  async announce(lease: InstanceLease, receive: Receive, lost?: () => void): Promise<void> {
    await this.#keys.load();
    const { id } = lease;
    const withKeys = { ...lease, keys: this.#keys.fingerprints };
    await this.#sent.announce(
      withKeys,
      (from, message) => this.#receive(from, id, message, receive),
      lost,
    );
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<'sent' | 'suspect'> {
    return this.#sent.send(from, to, this.#signed(from, to, message));
  }

  publish(from: string, message: InstanceMessage): Promise<void> {
    return this.#sent.publish(from, this.#signed(from, null, message));
  }

  #signed(from: string, to: string | null, message: InstanceMessage): InstanceMessage {
    const signature = this.#keys.sign(this.#text(from, to, message));
    return { ...message, mac: `${to === null ? 'a' : 'd'}${signature}` };
  }

  /** The text that a signature covers. `to` is `null` in messages to all others. */
  #text(from: string, to: string | null, message: InstanceMessage): string {
    return `${JSON.stringify([this.#deployment, from, to])}\n${JSON.stringify(message)}`;
  }

  #receive(from: string, to: string, received: InstanceMessage | null, receive: Receive): void {
    // A store passes on whatever JSON it finds in a mailbox.
    if (!isObject(received)) return this.#refuse(from, 'unsigned');
    const { mac, ...message } = received;
    if (typeof mac !== 'string') return this.#refuse(from, 'unsigned');
    if (this.#fits(from, to, message, mac)) return receive(from, message);
    this.#keys.reload();
    this.#refuse(from, 'wrong signature');
  }

  #fits(from: string, to: string, message: InstanceMessage, mac: string): boolean {
    const receiver = mac[0] === 'd' ? to : null;
    if (receiver === null && mac[0] !== 'a') return false;
    try {
      return this.#keys.accepts(this.#text(from, receiver, message), mac.slice(1));
    } catch {
      // The message is nested too deeply for `JSON.stringify`. No instance sends such a message.
      return false;
    }
  }

  #refuse(from: string, why: SignatureFault): void {
    this.#logger.error(
      { instance: shown(from) },
      why === 'unsigned'
        ? 'A message between instances was refused: it has no signature'
        : 'A message between instances was refused: its signature fits no key of this instance; every instance of a ' +
            'deployment needs the same secrets',
    );
  }
}
