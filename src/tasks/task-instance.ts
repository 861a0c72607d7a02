/** What tasks need of their instance, and what a run is made from. */
import type { CallRequest } from '../relay/sent-request.ts';
import type { KeptTask } from './task-record.ts';

export interface TaskInstance {
  readonly lease: { readonly owner: string; readonly valid: boolean; readonly ownersMayReturn: boolean };
  /** Rings the instance that owns a task: it reads the task again. */
  ring(to: string, id: string): Promise<boolean>;
}

/** Which task it is, and whose. */
export interface TaskIdentity {
  readonly id: string;
  readonly user: string | null;
  readonly kept: KeptTask;
}

/** What the tools of the server say about themselves. */
export interface TaskHints {
  /** Whether the tool may run twice; `undefined`: this build does not know the tool. */
  mayRunTwice(task: TaskIdentity): Promise<boolean | undefined>;
}

export interface RunRequest extends CallRequest {
  /** This instance calls itself for a call that is no task. */
  readonly launched?: Launched | undefined;
}

export interface Launched {
  /** Whose keys are those of a caller without a user. */
  readonly session: string | undefined;
}
