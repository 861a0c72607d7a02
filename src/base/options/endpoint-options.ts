/** The type of the options, as the endpoint uses them. */
import type { Notices } from '../observe/notices.ts';
import type { ResolvedLimits } from './resolve-limits.ts';
import type { DEFAULTS } from './table.ts';

/**
 * The options as the endpoint uses them: validated, filled in, frozen. An option that stays `undefined` has no default,
 * or the endpoint creates it. Your objects (`store`, `logger`, handlers, `bus`) are passed on as they are, not frozen.
 * `sessionMode` includes the option `stateless`.
 */
export interface ResolvedOptions
  extends Omit<typeof DEFAULTS, 'stateless' | 'limits'>, ResolvedLimits {
  /** No option: what happens in the endpoint, for its listeners. */
  readonly notices: Notices;
  /** No option: characters of the longest session id. */
  readonly sessionIdLength: number;
  /** `supportedProtocolVersions` if the option was given, else `undefined`. `ctx.serverOptions` starts with it. */
  readonly pinnedProtocolVersions: readonly string[] | undefined;
}
