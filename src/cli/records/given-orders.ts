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
/** Names a sender, as the ids of instances do. The command takes no lease and is no instance. */
const NAME_BYTES = 9;

const whoami = (): string => `${orUndefined(() => userInfo().username) ?? 'unknown'}@${hostname()} pid ${process.pid}`;

type Sender = Pick<RecordRequest, 'instanceKeys' | 'name'>;

export async function sendOrder(
  store: EndpointStore,
  { instanceKeys, name }: Sender,
  to: string,
  ordered: Ordered,
): Promise<void> {
  const messages = new SignedMessages(store, resolveOptions({ name, logger: false, instanceKeys }));
  await messages.load();
  const from = `command-${base64url(systemRandom(NAME_BYTES))}`;
  await messages.send(from, to, { kind: 'order', by: whoami(), ...ordered });
}

/** Sends an order once, and resolves with what `effect` finds of it. Rejects where that is nothing in time. */
export async function order<T>(
  store: EndpointStore,
  request: RecordRequest,
  to: InstanceLease,
  ordered: Ordered,
  effect: () => Promise<T | undefined>,
): Promise<T> {
  // An instance that drains has been told.
  if (ordered.run !== 'drain' || to.state !== 'draining') await sendOrder(store, request, to.id, ordered);
  const { wait = 0 } = request;
  const until = performance.now() + wait;
  for (;;) {
    const found = await effect();
    if (found !== undefined) return found;
    if (performance.now() >= until)
      throw new Failure(withoutEffect(to, await store.instances.read(to.id), ordered, wait));
    await delay(LOOK_MS);
  }
}

/** What may have happened to an order without an effect. `now`: the lease, if the instance lives. */
function withoutEffect(to: InstanceLease, now: InstanceLease | undefined, { run }: Ordered, waitMs: number): string {
  if (run === 'drain' && now?.state === 'draining')
    return `instance ${to.id} drains, and has not finished within ${waitMs} ms: calls still run`;
  const why =
    now === undefined
      ? 'it has left, or died'
      : `it lives. Its log says whether it took the order, or refused it (it needs its ${variableName('instanceKeys')} ` +
        'here). Else it is stuck, or of a version that knows no orders';
  const what = run === 'drain' ? 'begin to drain' : 'end the session';
  return `instance ${instanceText(to)} did not ${what} within ${waitMs} ms: ${why}`;
}
