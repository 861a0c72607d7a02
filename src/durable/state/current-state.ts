/** What handlers call: `userState()`, `openHandle()`, `listHandles()`. */
import { stateNeedsUser, stateOutside } from '../../base/errors.ts';
import { checkChoice, checkNumber } from '../../base/options/checks.ts';
import { currentCall } from '../../session/calls/call.ts';
import { toJson } from '../../session/record/state.ts';
import type {
  Handle,
  HandleOptions,
  State,
  UserHandle,
  UserStateOptions,
} from '../../base/types.ts';
import type { StateCaller, StatesPort } from '../../session/calls/call-services.ts';

const DAY_MS = 86_400_000;
const TIME = { min: 1_000, max: 400 * DAY_MS, unit: 'ms', integer: true };
const USER_MS = 90 * DAY_MS;

/** Throws `OUTSIDE_HANDLER`. */
function callerOf(what: string): { readonly states: StatesPort; readonly caller: StateCaller } {
  const call = currentCall.getStore();
  const states = call?.services?.states;
  if (call === undefined || states === undefined) throw stateOutside(what);
  return {
    states,
    caller: { user: call.caller?.userKey ?? call.session?.userKey, share: call.share },
  };
}

/**
 * The durable state of the user who calls: one map for all their clients, sessions and calls, in every revision of the
 * protocol, on every instance. Throws `STATE_NEEDS_USER` where the call has no user, unless `anonymous: 'shared'`, and
 * `OUTSIDE_HANDLER` outside of a handler.
 * @experimental
 */
export function userState({ keepMs = USER_MS, anonymous }: UserStateOptions = {}): State {
  checkNumber('keepMs of userState()', keepMs, TIME);
  const isShared =
    anonymous !== undefined &&
    checkChoice('anonymous of userState()', anonymous, ['shared']) === 'shared';
  const { states, caller } = callerOf('userState()');
  if (caller.user === undefined && !isShared) throw stateNeedsUser('userState()');
  return states.ofUser(caller, keepMs);
}

/**
 * Durable state with a name that the model passes back. Without `id` it makes a handle: put its `id` into the result.
 * With `id` it opens that one. Throws `HANDLE_NOT_FOUND`, whose message tells the model so, where the id is wrong, over,
 * or of another user or kind. `kind`: 1 to 16 characters of a–z and 0–9, the first a letter.
 * @experimental
 */
export async function openHandle(
  kind: string,
  id?: string,
  options: HandleOptions = {},
): Promise<Handle> {
  const { idleTimeoutMs = DAY_MS, initial = {} } = options;
  checkNumber('idleTimeoutMs of openHandle()', idleTimeoutMs, TIME);
  const { states, caller } = callerOf('openHandle()');
  if (id !== undefined) return states.handles.open(kind, id, caller);
  const fields = Object.entries(initial).map(
    ([key, value]) => [key, toJson(kind, key, value)] as const,
  );
  return states.handles.make(kind, caller, idleTimeoutMs, Object.fromEntries(fields));
}

/**
 * The handles of the user who calls, for a tool with which a model finds what it has lost.
 * @experimental
 */
export async function listHandles(kind?: string): Promise<UserHandle[]> {
  const { states, caller } = callerOf('listHandles()');
  if (caller.user === undefined) throw stateNeedsUser('listHandles()');
  return states.handles.ofUser(caller.user, kind);
}
