import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { Authorizer } from '../../http/auth/hook-authorizer.ts';
import type { SessionHost } from '../record/session-host.ts';
import type { Fields } from '../../stores/shared/record-change.ts';
import type { Handle, State, UserHandle } from '../../base/types.ts';
import type { StartTime } from './call-times.ts';
import type { SharedLists } from './shared-lists.ts';

/** Who calls. */
export interface StateCaller {
  readonly user: string | undefined;
  /** Whose share it takes, a key of `shareKey`. */
  readonly share: string;
}

/** States of users and of handles, as `userState()` and `openHandle()` use them. */
export interface StatesPort {
  sweep(): Promise<void>;
  ofUser(caller: StateCaller, lastsMs: number): State;
  readonly handles: {
    make(kind: string, caller: StateCaller, lastsMs: number, fields: Fields): Promise<Handle>;
    open(kind: string, id: string, caller: StateCaller): Promise<Handle>;
    ofUser(user: string, kind?: string): Promise<UserHandle[]>;
  };
}

/** What an endpoint has for the handlers of all calls. */
export interface CallServices {
  readonly options: Pick<ResolvedOptions, 'notices' | 'perSessionExecutionContext'>;
  /** `undefined`: without `auth.authorize`. */
  readonly authorizer?: Authorizer | undefined;
  /** `undefined`: without `sharedLists`. */
  readonly lists?: SharedLists | undefined;
  /** `undefined`: no call has a time limit. */
  readonly startTime: StartTime | undefined;
  /** Calls that run once (`durable/once/ledger.ts`). */
  readonly once: object;
  /** States of users and of handles (`durable/state/states.ts`). */
  readonly states: StatesPort;
  /** Live objects (`durable/live/live-objects.ts`). */
  readonly live: object;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: object | undefined;
}

/** What a session and its calls use of the instance they live on. */
export interface CallHost extends SessionHost {
  readonly services: CallServices;
}
