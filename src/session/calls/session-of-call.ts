/** What a call knows of its endpoint and of its session. */
import type { Quirk } from '../../clients/known.ts';
import type { Notices } from '../../observe/notices.ts';
import type { McpSession } from '../../types.ts';
import type { Stream } from '../streams/stream.ts';
import type { Authorizer } from '../../auth/hook-authorizer.ts';
import type { OnceCalls } from './once-calls.ts';
import type { SharedLists } from './shared-lists.ts';

/** What an endpoint has for handlers that this library wraps. */
export interface CallServices {
  readonly options: { readonly notices: Notices };
  /** `undefined`: without `auth.authorize`. */
  readonly authorizer?: Authorizer | undefined;
  /** `undefined`: without `sharedLists`. */
  readonly lists?: SharedLists | undefined;
  readonly once: OnceCalls;
  /** `undefined`: without the option `tasks`. */
  readonly launcher: object | undefined;
}

/** What a message knows of its live session. */
export interface SessionOfCall {
  readonly view: McpSession;
  readonly left: boolean;
  readonly share: string;
  readonly host: CallServices;
  readonly usedGetStream: Pick<Stream, 'resuming'> | undefined;
  hasQuirk(quirk: Quirk): boolean;
}
