import type { LargeAnswers } from '../http/large-answers.ts';
import type { OpenStore } from '../stores/store.ts';
import type { Logger } from '../types.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { Authorizer } from './authorizer.ts';
import type { LiveSession } from './session.ts';

/** What a session needs of the instance it lives on. */
export interface SessionHost {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: OpenStore;
  /** `undefined`: without `auth.authorize`. */
  readonly authorizer: Authorizer | undefined;
  /** Other processes may own sessions of this store: calls are guarded (`call-guard.ts`). */
  readonly guarded: boolean;
  /** Whether event ids may carry suffixes: no instance of the deployment is too old to read them. */
  readonly idSuffixes: boolean;
  /** Of an instance that drains: another instance takes its sessions over now. */
  readonly othersServe: boolean;
  /**
   * Whether what a live session says holds: `false` while this instance has no valid lease, and until the session is claimed
   * for its present id. True of those being opened.
   */
  serves(session: LiveSession): boolean;
  /** Calls `goOn` once the session is served again; the session is claimed before others. */
  holdsBack(session: LiveSession): void;
  /** Settles when it is known which claim of this instance is the last one; `undefined`: the session knows it. */
  claimsSettled(session: LiveSession): Promise<unknown> | undefined;
  /** Names the tools whose answers some clients refuse. */
  readonly largeAnswers: LargeAnswers;
  /** How long the record of a session lasts that was in use `idleMs` ago; `null`: it does not expire. */
  expiresInMs(idleMs?: number): number | null;
  becameActive(session: LiveSession): void;
  becameIdle(session: LiveSession): void;
  /** The store refused a write of its: somebody else owns it. */
  fenced(session: LiveSession): void;
  serverClosed(session: LiveSession): void;
}
