/**
 * States of users and of handles (`durable/state/states.ts`). Their messages reach the model, in a
 * result with `isError`.
 */
import { quoted } from '../shown.ts';
import { reasonOf, SojournError } from './sojourn-error.ts';

export const stateNeedsUser = (what: string): SojournError =>
  new SojournError(
    'STATE_NEEDS_USER',
    `${what} is about the user who calls, and this call has none. Set up auth` +
      (what === 'userState()' ? ", use openHandle(), or pass { anonymous: 'shared' }" : ''),
  );

export const stateOutside = (what: string): SojournError =>
  new SojournError(
    'OUTSIDE_HANDLER',
    `${what} was called where no endpoint of sojourn serves a call`,
  );

/** `of`: `userState()`, or a kind of handles. Its answer was lost, and too many others have changed the state since. */
export const stateUnsure = (of: string): SojournError =>
  new SojournError(
    'STATE_UNSURE',
    `It is not known whether this change of ${of} was stored: read it before you repeat it`,
  );

export const updateReturnedPromise = (of: string): TypeError =>
  new TypeError(
    `${of}: the function of update() may run again, so it only computes: it returned a promise`,
  );

export const handleNotFound = (kind: string, id: unknown): SojournError =>
  new SojournError(
    'HANDLE_NOT_FOUND',
    `There is no ${kind} ${quoted(id)}: it has ended or expired, or was never given out. ` +
      `Get a new ${kind}, and pass its id exactly as you got it`,
  );

export const handleKindInvalid = (kind: unknown): TypeError =>
  new TypeError(
    `openHandle(): a kind is 1 to 16 characters of a–z and 0–9, the first a letter, not ${quoted(kind)}`,
  );

/** `isOwn`: the user has all of them. */
export const tooManyHandles = (kind: string, most: number, isOwn: boolean): SojournError =>
  new SojournError(
    'TOO_MANY_HANDLES',
    isOwn
      ? `This user has ${most} handles: end one before you get a new ${kind}`
      : `Callers without a user have ${most} handles (limits.anonymousHandles): there is room for a new ${kind} later`,
  );

/** Its call could not be passed on before its handler began. */
export const liveMoved = (kind: string): TypeError =>
  new TypeError(
    `live(): another instance has this ${kind}. Give registerTool() what live() returns, and let id read the arguments ` +
      'as the client sends them',
  );

export const tooManyObjects = (kind: string, most: number): SojournError =>
  new SojournError(
    'TOO_MANY_OBJECTS',
    `This instance has ${most} live objects (limits.liveObjects), or this user has its share: ` +
      `there is room for a ${kind} once others have ended or were not used for some minutes`,
  );

export const userForgotten = (): SojournError =>
  new SojournError(
    'USER_FORGOTTEN',
    'What was kept of this user was deleted today: nothing new is kept for a day',
    { data: { reason: reasonOf('USER_FORGOTTEN') } },
  );

const FOR_MODELS: ReadonlySet<string> = new Set([
  'HANDLE_NOT_FOUND',
  'TOO_MANY_HANDLES',
  'TOO_MANY_OBJECTS',
]);

/** A mistake of the model, not of the server: no line in the log. */
export const isForModel = (error: unknown): boolean =>
  error instanceof SojournError && FOR_MODELS.has(error.code);
