/** The columns of the list of sessions: what they show, and by what they sort. */
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';
import { bytes, count, exact, NONE, span } from '../format.ts';
import type { Column } from '../lists/columns.tsx';
import { nameOf, now } from '../state/model.ts';
import { Icon, type IconName } from '../ui/icon.tsx';
import { agoText } from '../ui/when.tsx';

export const STATUS_ICON: Record<SessionRow['status'], IconName> = {
  live: 'serving',
  hibernated: 'rest',
  released: 'rest',
  orphaned: 'moved',
  ended: 'gone',
};

export const statusText = (status: SessionRow['status']): string => (status === 'orphaned' ? 'owner lost' : status);

const known = (value: number | undefined): number => value ?? -1;

/** The GET stream, and how many answers are open. The column has room for seven characters. */
function streamsText({ getStream, posts = 0 }: SessionRow): string {
  if (getStream === undefined) return NONE;
  if (!getStream) return posts > 0 ? `${posts} POST` : 'none';
  return posts > 0 ? `GET +${posts}` : 'GET';
}

export const COLUMNS: readonly Column<SessionRow>[] = [
  {
    label: 'Client',
    key: ({ clientInfo }) => clientInfo.name.toLowerCase(),
    class: 'na',
    cell: ({ clientInfo }) => (
      <>
        {clientInfo.name} <span class="dim">{clientInfo.version}</span>
      </>
    ),
    title: ({ clientInfo }) => `${clientInfo.name} ${clientInfo.version}`,
  },
  { label: 'User', key: ({ userName = '' }) => userName, class: '', cell: ({ userName }) => userName ?? NONE },
  { label: 'Session', key: ({ hash }) => hash, class: 'mono', cell: ({ hash }) => hash },
  {
    label: 'Revision',
    key: ({ protocolVersion }) => protocolVersion,
    class: '',
    cell: (row) => row.protocolVersion,
  },
  {
    label: 'Owner',
    key: ({ owner }) => nameOf(owner) ?? '',
    class: '',
    cell: ({ owner, status }) => (status === 'live' ? (nameOf(owner) ?? NONE) : NONE),
    title: ({ owner }) => nameOf(owner) ?? '',
  },
  {
    label: 'State',
    key: ({ status }) => status,
    class: ({ status }) => (status === 'orphaned' ? 'st nd lost' : 'st nd'),
    cell: ({ status }) => (
      <>
        <Icon name={STATUS_ICON[status]} />
        {statusText(status)}
      </>
    ),
  },
  {
    label: 'Active',
    key: ({ activeAt }) => activeAt,
    class: 'r nb',
    cell: ({ activeAt, exact: isExact }) => `${isExact === true ? '' : '~ '}${agoText(activeAt)}`,
    title: ({ activeAt }) => exact(activeAt),
    down: true,
  },
  {
    label: 'Age',
    key: ({ createdAt }) => createdAt,
    class: 'r',
    cell: ({ createdAt }) => span(now.value - createdAt),
    title: ({ createdAt }) => exact(createdAt),
    down: true,
  },
  {
    label: 'Calls',
    key: ({ calls }) => known(calls),
    class: 'r opt',
    cell: ({ calls }) => count(calls),
    down: true,
  },
  {
    label: 'Streams',
    key: ({ getStream, posts = 0 }) => (getStream === undefined ? -1 : Number(getStream) + posts),
    class: 'r opt',
    cell: streamsText,
    down: true,
  },
  { label: 'Size', key: (row) => known(row.bytes), class: 'r opt', cell: (row) => bytes(row.bytes), down: true },
];

/** What the list begins with: the latest activity first. */
export const FIRST_SORT = { column: 6, down: true };
