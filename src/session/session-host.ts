import type { OpenStore } from '../stores/store.ts';
import type { Logger } from '../types.ts';
import type { ResolvedOptions } from '../options/options.ts';
import type { LiveSession } from './session.ts';

/** What a session needs of the instance it lives on. */
export interface SessionHost {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: OpenStore;
  /** Other processes may own sessions of this store: calls are guarded (`call-guard.ts`). */
  readonly guarded: boolean;
  /** Whether what a live session says holds: `false` while this instance has no valid lease. True of those being opened. */
  serves(session: LiveSession): boolean;
  /** It waits to be told (`goOn`) that this instance has its lease again. */
  holdsBack(session: LiveSession): void;
  /** When a session last active then expires, for its record. */
  expiry(activeAt: number): number | null;
  becameActive(session: LiveSession): void;
  becameIdle(session: LiveSession): void;
  /** The store refused a write of its: somebody else owns it. */
  fenced(session: LiveSession): void;
  serverClosed(session: LiveSession): void;
}
