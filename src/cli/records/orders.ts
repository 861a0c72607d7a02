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

/** Sends an order once, and resolves with what `effect` finds of it. Rejects where that is nothing in time. */
export async function order<T>(
  store: EndpointStore,
  { options, wait }: RecordRequest,
  to: InstanceLease,
  ordered: Ordered,
  effect: () => Promise<T | undefined>,
): Promise<T> {
  const isDrain = ordered.run === 'drain';
  // An instance that drains has had this order.
  if (!isDrain || to.state !== 'draining') {
    const messages = new SignedMessages(store, options);
    await messages.load();
    const from = `command-${base64url(systemRandom(NAME_BYTES))}`;
    await messages.send(from, to.id, { kind: 'order', by: whoami(), ...ordered });
  }
  const until = performance.now() + wait;
  for (;;) {
    const found = await effect();
    if (found !== undefined) return found;
    if (performance.now() >= until) break;
    await delay(LOOK_MS);
  }
  const now = (await store.instances.read(to.id)) ?? to;
  throw new Failure(
    `instance ${instanceText(now)} did not ${isDrain ? 'drain' : 'end the session'} within ${wait} ms. Its log ` +
      `says whether it took the order, or refused it (it needs its ${variableName('secrets')} here). Else calls ` +
      'still run, or it is stuck',
  );
}
