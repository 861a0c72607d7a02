/** The eras that serve the requests of an endpoint, and the checks before them. */
import { LegacyEra } from '../eras/sessions/legacy-era.ts';
import type { LegacyOptions } from '../eras/sessions/era-parts.ts';
import { LegacySseEra } from '../eras/sessions/sse-era.ts';
import { StatelessEra } from '../eras/sessionless/stateless-era.ts';
import { GuestCalls } from '../eras/sessions/guest-calls.ts';
import { seenClients } from '../eras/message-checks.ts';
import { ModernEra, type ModernOptions } from '../eras/sessionless/modern-era.ts';
import { RequestChecks } from '../eras/request-checks.ts';
import { RequestLimits } from '../http/limits/request-limits.ts';
import { CallerChecks, type CallerChecksOptions } from '../eras/caller-checks.ts';

export interface ErasOptions
  extends
    Omit<LegacyOptions, 'gate' | 'modernGuests' | 'guests'>,
    Pick<ModernOptions, 'bus' | 'services' | 'servers' | 'tasks' | 'events'>,
    Pick<CallerChecksOptions, 'authenticator' | 'userOf'> {}

export class ServedEras {
  readonly modern: ModernEra;
  readonly legacy: LegacyEra;
  readonly stateless: StatelessEra;
  readonly guests: GuestCalls;
  /** `undefined`: without the option `legacySse`. */
  readonly sse: LegacySseEra | undefined;
  readonly callerChecks: CallerChecks;

  constructor(given: ErasOptions) {
    const { options, lifecycle } = given;
    const shared = {
      ...given,
      gate: new RequestLimits(options),
      noteClient: seenClients(options.notices),
    };
    this.modern = new ModernEra(shared);
    this.guests = new GuestCalls(shared);
    this.legacy = new LegacyEra({ ...shared, modernGuests: this.modern, guests: this.guests });
    this.stateless = new StatelessEra(shared);
    this.sse = options.legacySse ? new LegacySseEra(this.legacy) : undefined;
    const posts = options.sessionMode === 'stateless' ? this.stateless : this.legacy;
    const checks = new RequestChecks(options, lifecycle, {
      modern: this.modern,
      posts,
      sessions: this.legacy,
    });
    this.callerChecks = new CallerChecks({ ...given, checks, sse: this.sse });
  }
}
