/**
 * Ends and deletes what the store keeps of a user. The state goes first, and leaves a tombstone: a change that is under
 * way, and a handle that a call is about to make, find it and are refused.
 */
import { shareKey, storedShare } from '../base/budget.ts';
import { pagesOf } from '../base/pages.ts';
import type { States } from '../durable/state/states.ts';
import type { TaskStore } from '../durable/tasks/task-store.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import { isEnded } from '../stores/store.ts';

const PAGE = 100;
/** A client that calls all the time opens a session after each end. */
const ROUNDS = 20;

/** How many of each ended. */
export interface ForgottenUser {
  readonly sessions: number;
  readonly tasks: number;
  readonly handles: number;
  /** It held something. */
  readonly userState: boolean;
}

/** Ends what an instance may have in work, wherever that is. `false`: it had ended. */
export interface UserEnds {
  session(id: string): Promise<boolean>;
  task(id: string): Promise<boolean>;
}

export interface ForgetParts {
  readonly store: EndpointStore;
  readonly states: States;
  readonly tasks: Pick<TaskStore, 'group'>;
  readonly ends: UserEnds;
}

/** May be called again where it has failed: what has ended stays so. */
export async function forgetUser(userKey: string, parts: ForgetParts): Promise<ForgottenUser> {
  const { states } = parts;
  const userState = await states.users.forget(userKey);
  const sessions = await endSessions(userKey, parts);
  const tasks = await endTasks(userKey, parts);
  const handles = await states.handles.forget(userKey);
  return { sessions, tasks, handles, userState };
}

async function endSessions(userKey: string, { store, ends }: ForgetParts): Promise<number> {
  const share = storedShare(shareKey(userKey));
  let all = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let ended = 0;
    for (const id of await store.sessions.oldest(share, PAGE))
      if (await ends.session(id)) ended += 1;
    if (ended === 0) break;
    all += ended;
  }
  return all;
}

/** An ended task would keep its result: it is deleted. */
async function endTasks(userKey: string, { store, tasks, ends }: ForgetParts): Promise<number> {
  const group = await tasks.group(userKey);
  let all = 0;
  for await (const { records } of pagesOf((cursor) => store.tasks.list(PAGE, cursor, group)))
    for (const { id } of records) {
      if (await ends.task(id)) all += 1;
      const found = await store.tasks.read(id);
      if (found !== undefined && isEnded(found)) await store.tasks.end(id, found, '', 0);
    }
  return all;
}
