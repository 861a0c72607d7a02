/**
 * Orders to a running instance: `sojourn sessions end` of a session that is live, `sojourn handles close`, and
 * `sojourn instances drain`. One signed message goes through the store. The answer is the effect, which the store shows.
 */
import { hostname, userInfo } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { LookMessage } from '../../cluster/messages.ts';
import type { Ordered, OrderMessage } from '../../cluster/orders.ts';
import { SignedMessages } from '../../cluster/signed-messages.ts';
import { base64url, systemRandom } from '../../base/system.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import type { InstanceLease } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import { variableName } from '../flags.ts';
import type { RecordRequest } from './commands.ts';
import { instanceText } from './printing.ts';

const LOOK_MS = 100;
/** Names a sender, as the ids of instances do. The command takes no lease and is no instance. */
const NAME_BYTES = 9;

const whoami = (): string =>
  `${orUndefined(() => userInfo().username) ?? 'unknown'}@${hostname()} pid ${process.pid}`;

const DEEDS = { drain: 'drain', end: 'end the session', close: 'close the object' } as const;

type Sent = readonly [to: string, message: OrderMessage | LookMessage];

async function send(
  store: EndpointStore,
  options: RecordRequest['options'],
  all: readonly Sent[],
): Promise<void> {
  const messages = new SignedMessages(store, options);
  await messages.load();
  const from = `command-${base64url(systemRandom(NAME_BYTES))}`;
  for (const [to, message] of all) await messages.send(from, to, message);
}

/** Handles that have ended, and the instances that had their objects. An instance that gets no word looks once a lease. */
export async function tellOfEnds(
  store: EndpointStore,
  { options }: RecordRequest,
  ended: ReadonlyArray<readonly [handle: string, owner: string]>,
): Promise<void> {
  const looks = ended.map(([id, owner]): Sent => [owner, { kind: 'look', of: 'handles', id }]);
  if (looks.length > 0) await send(store, options, looks).catch(() => {});
}

/** Sends an order once, and resolves with what `effect` finds of it. Rejects where that is nothing in time. */
export async function order<T>(
  store: EndpointStore,
  { options, wait }: RecordRequest,
  to: InstanceLease,
  ordered: Ordered,
  effect: () => Promise<T | undefined>,
): Promise<T> {
  // An instance that drains has had this order.
  if (ordered.run !== 'drain' || to.state !== 'draining')
    await send(store, options, [[to.id, { kind: 'order', by: whoami(), ...ordered }]]);
  const until = performance.now() + wait;
  for (;;) {
    const found = await effect();
    if (found !== undefined) return found;
    if (performance.now() >= until) break;
    await delay(LOOK_MS);
  }
  const now = (await store.instances.read(to.id)) ?? to;
  throw new Failure(
    `instance ${instanceText(now)} did not ${DEEDS[ordered.run]} within ${wait} ms. Its log ` +
      `says whether it took the order, or refused it (it needs its ${variableName('secrets')} here). Else calls ` +
      'still run, or it is stuck',
  );
}
