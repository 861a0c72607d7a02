/** The filter of sessions: `client:cursor owner:web-2 state:live idle>10m`. Words fit a client, a user or a hash. */
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';
import { AMOUNTS, DURATIONS, type Filter, filterOf, type Language, word } from '../lists/filter.ts';

/** What a filter reads. `owner` is a name and not an id. */
export interface Filtered extends Omit<SessionRow, 'owner'> {
  readonly ownerName: string | undefined;
}

export const stateWord = (status: SessionRow['status']): string => (status === 'orphaned' ? 'owner-lost' : status);

const LANGUAGE: Language<Filtered> = {
  fields: {
    client: (row, value) => word(row.clientInfo.name).includes(value),
    user: (row, value) => word(row.userName) === value,
    owner: (row, value) => word(row.ownerName) === value,
    state: (row, value) => stateWord(row.status) === value || row.status === value,
    version: (row, value) => row.protocolVersion.startsWith(value),
    stream: (row, value) => (value === 'get' ? row.getStream === true : value === 'none' && row.getStream === false),
  },
  numbers: {
    idle: { of: ({ activeAt }, now) => now - activeAt, units: DURATIONS },
    age: { of: ({ createdAt }, now) => now - createdAt, units: DURATIONS },
    calls: { of: ({ calls }) => calls, units: AMOUNTS },
    size: { of: ({ bytes }) => bytes, units: AMOUNTS },
  },
  fits: ({ clientInfo, userName, hash }, text) =>
    word(clientInfo.name).includes(text) || word(userName).startsWith(text) || hash.startsWith(text),
};

/** `now`: the time of the scan. */
export const parseFilter = (query: string, now: number): Filter<Filtered> => filterOf(query, now, LANGUAGE);
