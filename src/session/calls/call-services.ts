import type { Authorizer } from '../../auth/hook-authorizer.ts';
import type { Notices } from '../../observe/notices.ts';
import type { StartTime } from './call-times.ts';
import type { SharedLists } from './shared-lists.ts';

/** What an endpoint has for the handlers of all calls. */
export interface CallServices {
  readonly options: { readonly notices: Notices };
  /** `undefined`: without `auth.authorize`. */
  readonly authorizer?: Authorizer | undefined;
  /** `undefined`: without `sharedLists`. */
  readonly lists?: SharedLists | undefined;
  /** `undefined`: no call has a time limit. */
  readonly startTime: StartTime | undefined;
  /** Calls that run once (`once/ledger.ts`). `used`: some call has run. */
  readonly once: { readonly used: boolean };
  /** `undefined`: without the option `tasks`. */
  readonly launcher: object | undefined;
}
