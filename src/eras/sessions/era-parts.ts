/** What the sessions of the 2025 era are served with: one interface for all parts in this folder. */
import type { Finder } from '../../cluster/finder.ts';
import type { Instance } from '../../cluster/instance.ts';
import type { Budget } from '../../base/budget.ts';
import type { RandomSource } from '../../base/system.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { ResponsePolicy, SessionResponse } from '../../http/sink.ts';
import type { RequestLimits } from '../../http/limits/request-limits.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { Relay } from '../../cluster/relay/relay.ts';
import type { GuestCalls } from './guest-calls.ts';
import type { ModernEra } from '../sessionless/modern-era.ts';
import type { SessionOpener } from '../../session/life/session-opener.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { Registry } from '../../session/registry.ts';

/** What the responses of each kind have in common. */
export type LegacyResponses = Readonly<Record<SessionResponse, ResponsePolicy>>;

/** What the endpoint has. */
export interface LegacyOptions {
  readonly options: ResolvedOptions;
  readonly lifecycle: Lifecycle;
  readonly registry: Registry;
  readonly gate: RequestLimits;
  readonly random: RandomSource;
  readonly instance: Instance;
  readonly finder: Finder;
  readonly opener: SessionOpener;
  /** Serve calls whose live object is here: of 2026-07-28, and of sessions that are live on other instances. */
  readonly modernGuests: Pick<ModernEra, 'serveGuest'>;
  readonly guests: Pick<GuestCalls, 'serveGuest'>;
}

/** What the era adds. */
export interface LegacyParts extends LegacyOptions {
  readonly relay: Relay;
  /** The places of replays (`get.ts`). */
  readonly replays: Budget;
  readonly responses: LegacyResponses;
  /** Calls that no live session counts: on the way to a session, or at its owner. Of a GET only the way. */
  readonly tracked: Set<CallerRequest>;
}

/** Until `work` ends, a drain waits for this request. */
export function track<T>(
  { tracked }: LegacyParts,
  caller: CallerRequest,
  work: Promise<T>,
): Promise<T> {
  const over = (): void => void tracked.delete(caller);
  tracked.add(caller);
  // Before what its caller does next.
  work.then(over, over);
  return work;
}
