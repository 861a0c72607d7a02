/** Opens the store of an endpoint, for the kinds of records that it keeps. */
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { systemRandom } from '../base/system.ts';
import { CALLS, type EndpointStore, ONCE, sessionKind, STEPS, TASKS } from '../session/record/record-kinds.ts';
import type { Kind, MaybePromise, OpenStore, Store } from '../stores/store.ts';
import type { EventRetention } from '../types.ts';
import { timedStore } from './timed-store.ts';

export type { EndpointStore };

type StoreSettings = Pick<
  ResolvedOptions,
  'name' | 'notices' | 'timeProvider' | 'logger' | 'leaseMs' | 'tombstoneMs' | 'eventRetention' | 'limits'
>;

/** Synchronous where the store is. */
export function openEndpointStore(store: Store, options: StoreSettings): MaybePromise<EndpointStore> {
  const sessions = sessionKind(retentionOf(options), options.tombstoneMs);
  const opened = store.open({
    name: options.name,
    kinds: [sessions, CALLS, ONCE, TASKS, STEPS],
    time: options.timeProvider,
    random: systemRandom,
    logger: options.logger,
    leaseMs: options.leaseMs,
    eventLogBytes: options.limits.eventLogBytes,
    tombstones: options.limits.tombstones,
    userShare: options.limits.userShare,
  });
  const made = (open: OpenStore): EndpointStore => {
    const plain = endpointStore(open, sessions);
    return options.notices.watchesDetails && !store.inProcess ? timedStore(plain, options) : plain;
  };
  return opened instanceof Promise ? opened.then(made) : made(opened);
}

/** `sessions`: the kind of the sessions. It was opened for that one and for calls. */
export function endpointStore(open: OpenStore, sessions: Kind): EndpointStore {
  return {
    sessions: open.records(sessions),
    calls: open.records(CALLS),
    once: open.records(ONCE),
    tasks: open.records(TASKS),
    steps: open.records(STEPS),
    instances: open.instances,
    secret: (name, keepMs) => open.secret(name, keepMs),
    full: () => open.full?.() === true,
    close: () => open.close(),
  };
}

/** Keeps at least `streamBufferBytes` in the log, so that a client that was cut off finds there what it missed. */
function retentionOf({ eventRetention, limits }: StoreSettings): EventRetention | false {
  if (eventRetention === false) return false;
  return { ...eventRetention, bytes: Math.max(eventRetention.bytes, limits.streamBufferBytes) };
}
