/** The views of its store that an endpoint opens, and their options. */
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { RETENTION_DEFAULTS } from '../options/resolve-limits.ts';
import { systemRandom } from '../options/system.ts';
import type { MaybePromise, OpenStore, Store, StoreOptions } from '../stores/store.ts';
import type { EventRetention } from '../types.ts';

/** Follows the name of the endpoint in the name of the deployment that keeps calls. No `name` can contain it. */
const CALLS = ':calls';
/** No client names the record of a call, so an ended one need not be remembered. */
const CALL_TOMBSTONE_MS = 1_000;

export interface StoreViews {
  readonly sessions: OpenStore;
  /** For the option `resumeModernCalls`; `undefined`: it is off. */
  readonly calls: OpenStore | undefined;
}

/** Synchronous where the store is. After a failure no view is open. */
export function openViews(store: Store, options: ResolvedOptions): MaybePromise<StoreViews> {
  const given = sessionOptions(options);
  const sessions = store.open(given);
  const openCalls = (): MaybePromise<OpenStore | undefined> =>
    options.resumeModernCalls ? store.open(callOptions(given)) : undefined;
  if (sessions instanceof Promise) return sessions.then((open) => withCalls(open, openCalls));
  const calls = openCalls();
  if (calls instanceof Promise) throw new TypeError('A store opens synchronously always, or never');
  return { sessions, calls };
}

async function withCalls(
  sessions: OpenStore,
  openCalls: () => MaybePromise<OpenStore | undefined>,
): Promise<StoreViews> {
  try {
    return { sessions, calls: await openCalls() };
  } catch (cause) {
    await sessions.close().catch(() => {});
    throw cause;
  }
}

function sessionOptions(options: ResolvedOptions): StoreOptions {
  return {
    name: options.name,
    time: options.timeProvider,
    random: systemRandom,
    logger: options.logger,
    leaseMs: options.leaseMs,
    tombstoneMs: options.tombstoneMs,
    retention: retentionOf(options),
    eventLogBytes: options.limits.eventLogBytes,
    tombstones: options.limits.tombstones,
  };
}

function callOptions(sessions: StoreOptions): StoreOptions {
  return {
    ...sessions,
    name: `${sessions.name}${CALLS}`,
    retention: RETENTION_DEFAULTS,
    tombstoneMs: CALL_TOMBSTONE_MS,
  };
}

/** Keeps at least `streamBufferBytes` in the log, so that a client that was cut off finds there what it missed. */
function retentionOf({ eventRetention, limits }: ResolvedOptions): EventRetention | false {
  if (eventRetention === false) return false;
  return { ...eventRetention, bytes: Math.max(eventRetention.bytes, limits.streamBufferBytes) };
}
