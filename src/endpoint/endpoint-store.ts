/** Opens the store of an endpoint, for the kinds of records that it keeps. */
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { type RandomSource, systemRandom } from '../base/system.ts';
import { KeptRecords } from '../durable/kept/kept-records.ts';
import { KeptLedger, type KeptOptions } from '../durable/kept/kept-ledger.ts';
import {
  type EndpointStore,
  FIGURES,
  KEPT,
  ONCE,
  RESULTS,
  sessionKind,
  TASKS,
} from '../session/record/record-kinds.ts';
import type { Kind, MaybePromise, OpenStore, Store } from '../stores/store.ts';
import type { EventRetention } from '../base/types.ts';

export type { EndpointStore };

/** Ended sessions that the memory store remembers. */
export const TOMBSTONES = 100_000;

type StoreSettings = Pick<
  ResolvedOptions,
  | 'name'
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
): MaybePromise<EndpointStore> {
  const sessions = sessionKind(retentionOf(options), options.tombstoneMs);
  const opened = store.open({
    name: options.name,
    kinds: [sessions, ONCE, TASKS, RESULTS, KEPT, FIGURES],
    time: options.timeProvider,
    random: systemRandom,
    logger: options.logger,
    leaseMs: options.leaseMs,
    eventLogBytes: options.limits.eventLogBytes,
    tombstones: TOMBSTONES,
  });
  const made = (open: OpenStore): EndpointStore => endpointStore(open, sessions, options);
  return opened instanceof Promise ? opened.then(made) : made(opened);
}

/** `sessions`: the kind of the sessions. It was opened for that one and for the others. */
export function endpointStore(
  open: OpenStore,
  sessions: Kind,
  options: KeptOptions,
  random: RandomSource = systemRandom,
): EndpointStore {
  const [kept, results] = [open.records(KEPT), open.records(RESULTS)];
  const room = open.room && { room: () => open.room?.() };
  const ledger = new KeptLedger({ kept, results, ...room }, options, random);
  const counted = (kind: Kind) =>
    new KeptRecords(open.records(kind), ledger, options.timeProvider, kind);
  return {
    sessions: open.records(sessions),
    once: counted(ONCE),
    tasks: counted(TASKS),
    figures: open.records(FIGURES),
    instances: open.instances,
    secret: (name, keepMs) => open.secret(name, keepMs),
    full: () => open.full?.() === true,
    close: () => {
      ledger.stop();
      return open.close();
    },
  };
}

/** Keeps at least `streamBufferBytes` in the log, so that a client that was cut off finds there what it missed. */
function retentionOf({ eventRetention, limits }: StoreSettings): EventRetention | false {
  if (eventRetention === false) return false;
  return { ...eventRetention, bytes: Math.max(eventRetention.bytes, limits.streamBufferBytes) };
}
