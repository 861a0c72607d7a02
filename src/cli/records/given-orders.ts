/**
 * Orders to a running instance: `sojourn sessions end` of a session that is live, and `sojourn instances drain`. One
 * signed message goes through the store. The answer is the effect, which the store shows.
 */
import { hostname, userInfo } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { Ordered } from '../../cluster/orders.ts';
import { SignedMessages } from '../../cluster/signed-messages.ts';
import { base64url, systemRandom } from '../../base/system.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { resolveOptions } from '../../options/resolve.ts';
import type { InstanceLease } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import { variableName } from '../option-flags.ts';
import type { RecordRequest } from './commands.ts';
import { instanceText } from './printing.ts';

const LOOK_MS = 100;
/** Names a sender, as the ids of instances do. */
const NAME_BYTES = 9;

const whoami = (): string => `${orUndefined(() => userInfo().username) ?? 'unknown'}@${hostname()} pid ${process.pid}`;

export class GivenOrders {
  readonly #store: EndpointStore;
  readonly #waitMs: number;
  readonly #messages: SignedMessages;
  /** The command takes no lease and is no instance. */
  readonly #from = `command-${base64url(systemRandom(NAME_BYTES))}`;

  constructor(
    store: EndpointStore,
    { instanceKeys, name, wait = 0 }: Pick<RecordRequest, 'instanceKeys' | 'name' | 'wait'>,
  ) {
    this.#store = store;
    this.#waitMs = wait;
    const options = resolveOptions({ name, logger: false, instanceKeys });
    this.#messages = new SignedMessages(store, options);
  }

  /** Sends the order once. */
  async send({ id }: Pick<InstanceLease, 'id'>, ordered: Ordered): Promise<void> {
    await this.#messages.load();
    await this.#messages.send(this.#from, id, { kind: 'order', by: whoami(), ...ordered });
  }

  /** Resolves with what `effect` found. `undefined`: it found nothing in time. */
  async effect<T>(effect: () => Promise<T | undefined>): Promise<T | undefined> {
    const until = performance.now() + this.#waitMs;
    for (;;) {
      const found = await effect();
      if (found !== undefined || performance.now() >= until) return found;
      await delay(LOOK_MS);
    }
  }

  /** What may have happened to an order without an effect. */
  async noEffect(lease: InstanceLease, what: string): Promise<Failure> {
    const now = await this.#store.instances.read(lease.id);
    const why =
      now === undefined
        ? 'it has left, or died'
        : `it lives. Its log says whether it took the order, or refused it (it needs its ${variableName('instanceKeys')} ` +
          'here). Else it is stuck, or of a version that knows no orders';
    return new Failure(`instance ${instanceText(lease)} did not ${what} within ${this.#waitMs} ms: ${why}`);
  }
}
