/** What a run of a task is made from, and what is asked about its tool. */
import type { CallRequest } from '../relay/sent-request.ts';
import type { KeptTask } from './task-record.ts';

/** Which task it is, and whose. */
export interface TaskIdentity {
  readonly id: string;
  readonly user: string | null;
  readonly kept: KeptTask;
}

export interface RunRequest extends CallRequest {
  /** This instance calls itself for a call that is no task. `session`: whose keys a caller without a user has. */
  readonly launched?: { readonly session: string | undefined } | undefined;
}
