/**
 * Users whose data was deleted on request (`endpoint/forget-user.ts`). For a day the state of such a user is an ended
 * record, and no record of the user is created: who creates one reads that state afterwards. So it does not matter
 * which of the two came first.
 */
import { digestText } from '../../base/digest.ts';
import { userForgotten } from '../../base/errors.ts';
import { type FoundRecord, isEnded, type NewRecord, type Records } from '../../stores/store.ts';
import type { EndpointStore } from './record-kinds.ts';

const GROUP_LENGTH = 16;
/** The id of the state that callers without a user share. No group has so few characters. */
const ANONYMOUS = 'anonymous';
/** The outcome of the state. */
export const FORGOTTEN = 'forgotten';

/** The id of the state of a user, and the first characters of the ids of its handles. */
export const groupOf = (user: string | undefined): string =>
  user === undefined
    ? ANONYMOUS
    : digestText(JSON.stringify(['user', user])).slice(0, GROUP_LENGTH);

const isForgotten = (state: FoundRecord): boolean =>
  state !== undefined && isEnded(state) && state.outcome === FORGOTTEN;

/** Throws `USER_FORGOTTEN`. */
export function refuseForgotten(state: FoundRecord): void {
  if (isForgotten(state)) throw userForgotten();
}

/** After its creation: ends a record whose user is forgotten, and throws `USER_FORGOTTEN`. May be called again. */
export async function keepUnlessForgotten(
  { states }: Pick<EndpointStore, 'states'>,
  records: Records,
  record: Pick<NewRecord, 'id' | 'epoch' | 'owner' | 'user'>,
): Promise<void> {
  if (record.user === null || !isForgotten(await states.read(groupOf(record.user)))) return;
  await records.end(record.id, record, '', 0);
  throw userForgotten();
}
