/** Sends orders to instances, for the command line: it takes no lease and is no instance. */
import type { Ordered } from '../cluster/orders.ts';
import { SignedMessages } from '../cluster/signed-messages.ts';
import { resolveOptions } from '../options/resolve.ts';
import { base64url, systemRandom } from '../base/system.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';

/** Names a sender, as the ids of instances do. */
const NAME_BYTES = 9;

interface SenderOptions {
  /** The endpoint's `name`. */
  readonly name: string;
  /** `undefined`: the store's secret signs. */
  readonly instanceKeys: readonly string[] | undefined;
  readonly by: string;
}

export class OrderSender {
  readonly #messages: SignedMessages;
  readonly #by: string;
  readonly #from = `command-${base64url(systemRandom(NAME_BYTES))}`;

  constructor(store: EndpointStore, { name, instanceKeys, by }: SenderOptions) {
    const options = resolveOptions({ name, logger: false, ...(instanceKeys !== undefined && { instanceKeys }) });
    this.#messages = new SignedMessages(store, options);
    this.#by = by;
  }

  /** Sends the order once, to the instance of this id. */
  async send(id: string, ordered: Ordered): Promise<void> {
    await this.#messages.load();
    await this.#messages.send(this.#from, id, { kind: 'order', by: this.#by, ...ordered });
  }
}
