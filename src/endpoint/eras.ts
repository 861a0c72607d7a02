/** Wires the eras of an endpoint, and the checks that lead to them. */
import type { Finder } from '../cluster/finder.ts';
import type { Instance } from '../cluster/instance.ts';
import { LegacyEra } from '../eras/legacy/legacy-era.ts';
import { LegacySseEra } from '../eras/legacy/sse-era.ts';
import { StatelessEra } from '../eras/legacy/stateless-era.ts';
import { seenClients } from '../eras/message-checks.ts';
import { CallRecords } from '../eras/modern/call-records.ts';
import { ModernEra } from '../eras/modern/modern-era.ts';
import { RequestChecks } from '../eras/request-checks.ts';
import { beforeItRan } from '../errors.ts';
import { refuse, refuseOnSession } from '../http/answer.ts';
import { KeepAlive } from '../http/keep-alive.ts';
import type { MemoryUse, SlowReaders } from '../http/slow-readers.ts';
import { StreamExpiry } from '../http/stream-expiry.ts';
import { RequestLimits } from '../limits/request-limits.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { RandomSource } from '../options/system.ts';
import { type InboundPost, requestIdOf } from '../relay/call.ts';
import type { Authorizer } from '../session/calls/authorizer.ts';
import type { ServerBuilder } from '../session/server/server-builder.ts';
import type { SessionBuilder } from '../session/server/session-builder.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import type { Patience } from '../session/ownership/patience.ts';
import type { Registry } from '../session/registry.ts';
import { Replays } from '../session/streams/replays.ts';
import type { SessionOpener } from '../session/life/session-opener.ts';
import type { SharedLists } from '../session/server/shared-lists.ts';
import type { OpenStore } from '../stores/store.ts';
import type { FleetBus, LocalBus } from './bus.ts';

export interface ErasOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly instance: Instance;
  readonly finder: Finder;
  readonly opener: SessionOpener;
  readonly servers: ServerBuilder;
  readonly builder: SessionBuilder;
  readonly patience: Patience;
  readonly bus: FleetBus | LocalBus;
  /** The view for the option `resumeModernCalls`; `undefined`: it is off. */
  readonly calls: OpenStore | undefined;
  readonly authorizer: Authorizer | undefined;
  readonly lists: SharedLists | undefined;
  readonly memory: MemoryUse;
  readonly slowReaders: Pick<SlowReaders, 'cutStalled'>;
  readonly random: RandomSource;
  readonly lifecycle: Lifecycle;
}

export interface Eras {
  readonly legacy: LegacyEra;
  readonly stateless: StatelessEra;
  readonly modern: ModernEra;
  /** `undefined`: without the option `legacySse`. */
  readonly sse: LegacySseEra | undefined;
  readonly keepAlive: KeepAlive;
  readonly checks: RequestChecks;
}

export function createEras(given: ErasOptions): Eras {
  const { options, registry, instance, servers, calls, authorizer, lists, memory, random, lifecycle } = given;
  const { callTimes } = registry;
  const { timeProvider: time, limits, perUser, perTool } = options;
  const keepAlive = new KeepAlive(time, options.keepAliveMs);
  const expiry = new StreamExpiry(time);
  const gate = new RequestLimits({ time, requests: limits.requests, perUser, perTool });
  const replays = new Replays({ options, memory, slowReaders: given.slowReaders });
  const legacy = new LegacyEra({
    options,
    registry,
    replays,
    finder: given.finder,
    instance,
    opener: given.opener,
    keepAlive,
    gate,
    expiry,
    patience: given.patience,
    random,
    lifecycle,
    lostAnswer: (exchange) => modern.lostAnswer(exchange),
  });
  const stateless = new StatelessEra({ options, servers, keepAlive, gate, callTimes, authorizer, lists, memory });
  const noteClient = seenClients(options.notices);
  const statelessPost = (post: InboundPost): void => {
    noteClient(post.messages[0]);
    stateless.post(post);
  };
  const legacyPost: (post: InboundPost) => void =
    options.sessionMode === 'stateless' ? statelessPost : (post) => legacy.post(post);
  const modern = new ModernEra({
    options,
    servers,
    bus: given.bus,
    keepAlive,
    gate,
    callTimes,
    random,
    expiry,
    authorizer,
    lists,
    lifecycle,
    resuming: calls && { records: new CallRecords(calls, options), relay: legacy.relay, instance, replays },
    memory,
    legacy: legacyPost,
  });
  const sse = options.legacySse
    ? new LegacySseEra({
        options,
        registry,
        builder: given.builder,
        gate,
        keepAlive,
        expiry,
        ownerId: () => instance.owner,
        random,
        lifecycle,
      })
    : undefined;
  const checks = new RequestChecks(options, {
    modern: (post, header) => {
      if (refuses(lifecycle, post)) return;
      noteClient(post.messages[0]);
      modern.serve(post, header);
    },
    lostAnswer: (exchange) => modern.lostAnswer(exchange),
    legacyPost: (post) => refuses(lifecycle, post) || legacyPost(post),
    legacyGet: (exchange) => legacy.get(exchange),
    legacyDelete: (exchange) =>
      lifecycle.refusal === undefined ? legacy.delete(exchange) : refuse(exchange, lifecycle.refusal, null),
  });
  return { legacy, stateless, modern, sse, keepAlive, checks };
}

/**
 * Refuses what still arrives on open connections after a drain. A request of a session gets an error with its id,
 * because some clients end at a 503.
 */
function refuses({ refusal }: Lifecycle, post: InboundPost): boolean {
  if (refusal !== undefined) refuseOnSession(post.exchange, beforeItRan(refusal), requestIdOf(post));
  return refusal !== undefined;
}
