/** What the list of sessions counts. */
import type { Described } from '../lists/facets.tsx';
import { word } from '../lists/filter.ts';
import { statusText } from './columns.tsx';
import { type Filtered, stateWord } from './filter.ts';

export const FACETS: readonly Described<Filtered>[] = [
  { label: 'State', key: 'state', of: ({ status }) => statusText(status), term: ({ status }) => stateWord(status) },
  { label: 'Owner', key: 'owner', of: ({ ownerName }) => ownerName, term: ({ ownerName }) => word(ownerName) },
  { label: 'Client', key: 'client', of: (row) => row.clientInfo.name, term: (row) => word(row.clientInfo.name) },
  { label: 'Revision', key: 'version', of: (row) => row.protocolVersion, term: (row) => row.protocolVersion },
  { label: 'User', key: 'user', of: ({ userName }) => userName, term: ({ userName }) => word(userName) },
];
