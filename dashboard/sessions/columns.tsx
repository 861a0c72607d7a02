/** The columns of the list of sessions: what they show, and by what they sort. */
import type { ComponentChildren } from 'preact';
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';
import { bytes, count, exact, NONE, span } from '../format.ts';
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

export interface Column {
  readonly label: string;
  /** By this the list is sorted. */
  readonly key: (row: SessionRow) => string | number;
  readonly class: (row: SessionRow) => string;
  readonly cell: (row: SessionRow) => ComponentChildren;
  readonly title?: (row: SessionRow) => string;
  /** Sorts with the largest first. */
  readonly down?: true;
}

const is = (name: string) => () => name;
const known = (value: number | undefined): number => value ?? -1;

function streamsText({ getStream, posts = 0 }: SessionRow): string {
  if (getStream === undefined) return NONE;
  const parts = [getStream ? 'GET' : '', posts > 0 ? `${posts} POST` : ''].filter(Boolean);
  return parts.join(', ') || 'none';
}

export const COLUMNS: readonly Column[] = [
  {
    label: 'Client',
    key: ({ clientInfo }) => clientInfo.name.toLowerCase(),
    class: is('na'),
    cell: ({ clientInfo }) => (
      <>
        {clientInfo.name} <span class="dim">{clientInfo.version}</span>
      </>
    ),
    title: ({ clientInfo }) => `${clientInfo.name} ${clientInfo.version}`,
  },
  { label: 'User', key: ({ userName = '' }) => userName, class: is(''), cell: ({ userName }) => userName ?? NONE },
  { label: 'Session', key: ({ hash }) => hash, class: is('mono'), cell: ({ hash }) => hash },
  {
    label: 'Revision',
    key: ({ protocolVersion }) => protocolVersion,
    class: is(''),
    cell: (row) => row.protocolVersion,
  },
  {
    label: 'Owner',
    key: ({ owner }) => nameOf(owner) ?? '',
    class: is(''),
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
    class: is('r nb'),
    cell: ({ activeAt, exact: isExact }) => `${isExact === true ? '' : '~ '}${agoText(activeAt)}`,
    title: ({ activeAt }) => exact(activeAt),
    down: true,
  },
  {
    label: 'Age',
    key: ({ createdAt }) => createdAt,
    class: is('r'),
    cell: ({ createdAt }) => span(now.value - createdAt),
    title: ({ createdAt }) => exact(createdAt),
    down: true,
  },
  {
    label: 'Calls',
    key: ({ calls }) => known(calls),
    class: is('r opt'),
    cell: ({ calls }) => count(calls),
    down: true,
  },
  {
    label: 'Streams',
    key: ({ getStream, posts = 0 }) => (getStream === undefined ? -1 : Number(getStream) + posts),
    class: is('r opt'),
    cell: streamsText,
    down: true,
  },
  { label: 'Size', key: (row) => known(row.bytes), class: is('r opt'), cell: (row) => bytes(row.bytes), down: true },
];

/** What the list begins with: the latest activity first. */
export const FIRST_SORT = { column: 6, down: true };
