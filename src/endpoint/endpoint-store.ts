/** Opens the store of an endpoint, for the kinds of records that it keeps. */
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { type RandomSource, systemRandom } from '../base/system.ts';
import { KeptLimits } from '../stores/quota/kept-limits.ts';
import { Outcomes } from '../durable/records/outcomes.ts';
import {
  EMITS,
  type EndpointStore,
  EVENTS,
  FIGURES,
  HANDLES,
  ONCE,
  RESULTS,
  sessionKind,
  STATES,
  SUBSCRIPTIONS,
  TASKS,
} from '../session/record/record-kinds.ts';
import type { MaybePromise, OpenStore, Store } from '../stores/store.ts';
import type { EventRetention } from '../base/types.ts';

export type { EndpointStore };

/** Ended sessions that the memory store remembers. */
const TOMBSTONES = 100_000;

type StoreSettings = Pick<
  ResolvedOptions,
  | 'deployment'
  | 'timeProvider'
  | 'logger'
  | 'leaseMs'
  | 'tombstoneMs'
  | 'eventRetention'
  | 'limits'
  | 'perUser'
>;

/** Synchronous where the store is. */
export function openEndpointStore(
  store: Store,
  options: StoreSettings,
  random: RandomSource = systemRandom,
): MaybePromise<EndpointStore> {
  const sessions = sessionKind(retentionOf(options), options.tombstoneMs);
  const quota = new KeptLimits(options);
  const opened = store.open({
    deployment: options.deployment,
    kinds: [sessions, ONCE, STATES, HANDLES, TASKS, RESULTS, EMITS, EVENTS, SUBSCRIPTIONS, FIGURES],
    quota,
    time: options.timeProvider,
    random,
    logger: options.logger,
    leaseMs: options.leaseMs,
    eventLogBytes: options.limits.eventLogBytes,
    tombstones: TOMBSTONES,
  });
  const made = (open: OpenStore): EndpointStore => {
    const results = open.records(RESULTS);
    const parts = {
      sessions: open.records(sessions),
      once: open.records(ONCE),
      tasks: open.records(TASKS),
      results,
      outcomes: new Outcomes(results, quota, options.timeProvider, random),
      limits: quota,
      states: open.records(STATES),
      handles: open.records(HANDLES),
      emits: open.records(EMITS),
      events: open.records(EVENTS),
      subscriptions: open.records(SUBSCRIPTIONS),
      figures: open.records(FIGURES),
      instances: open.instances,
      kept: open.kept,
    };
    quota.opened({ ...parts, ...(open.room && { room: () => open.room?.() }) });
    const secret: EndpointStore['secret'] = (name, keepMs) => open.secret(name, keepMs);
    const forgetAll = open.forgetAll && (async (): Promise<void> => open.forgetAll?.());
    return {
      ...parts,
      ...(forgetAll && { forgetAll }),
      secret,
      full: () => open.full?.() === true,
      close: () => open.close(),
    };
  };
  return opened instanceof Promise ? opened.then(made) : made(opened);
}

/** Keeps at least `streamBufferBytes` in the log, so that a client that was cut off finds there what it missed. */
function retentionOf({ eventRetention, limits }: StoreSettings): EventRetention | false {
  if (eventRetention === false) return false;
  return { ...eventRetention, bytes: Math.max(eventRetention.bytes, limits.streamBufferBytes) };
}
