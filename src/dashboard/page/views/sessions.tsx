/** Sessions of the deployment, and one of them. */
import type { ShownSession, SessionDetail, SessionRow } from '../../wire.ts';
import { confirm } from '../dialog.tsx';
import { bytes, count, many, NONE } from '../format.ts';
import { endpointUrl, go, nameOf, usePolled } from '../state.ts';
import { Code, type Column, Facts, Head, State, toast, When } from '../ui.tsx';
import { loaded, ofUser, RecordList, StateTable, Waiting } from './records.tsx';

/** A client may have an empty name. */
const titleOf = ({
  hash,
  clientInfo: { name, version },
}: Pick<SessionRow, 'hash' | 'clientInfo'>): string => `${name} ${version}`.trim() || hash;

const COLUMNS: readonly Column<SessionRow>[] = [
  { label: 'Client', of: (row) => <a href={`#/sessions/${row.ref}`}>{titleOf(row)}</a> },
  { label: 'User', of: ({ userName }) => userName ?? NONE },
  { label: 'Status', of: ({ status }) => <State name={status} /> },
  {
    label: 'Instance',
    of: ({ owner }) =>
      owner === undefined ? NONE : <a href={`#/instances/${owner}`}>{nameOf(owner)}</a>,
  },
  { label: 'Hash', of: ({ hash }) => <code>{hash}</code>, optional: true },
  { label: 'Revision', of: ({ protocolVersion }) => protocolVersion, optional: true },
  {
    label: 'Opened',
    number: ({ createdAt }) => createdAt,
    of: ({ createdAt }) => <When at={createdAt} />,
    optional: true,
  },
  {
    // The instance of a live session saves it each tenth of `idleTimeoutMs`.
    label: 'Active, saved',
    number: ({ activeAt }) => activeAt,
    of: ({ activeAt }) => <When at={activeAt} />,
  },
];

export function SessionsView({ query }: { query: string }) {
  return (
    <RecordList
      key={query}
      view="sessions"
      title="Sessions"
      help="Id, hash, user, client or instance"
      query={query}
      columns={COLUMNS}
      none={
        <>
          <p>No session is open. Clients of 2026-07-28 have none. To connect a client:</p>
          <Code text={`claude mcp add --transport http server ${endpointUrl()}`} />
        </>
      }
    />
  );
}

function end(which: string, session: ShownSession): void {
  const { userName, running = 0, state } = session;
  const sizes = Object.values(state);
  confirm({
    title: 'End this session?',
    yes: 'End session',
    lines: () => [
      `Its client, ${titleOf(session)} of ${userName ?? 'no user'}, gets 404 with its next request and opens a new session.`,
      ...(running > 0
        ? [`${many(running, 'running call')} ${running === 1 ? 'ends' : 'end'} with an error.`]
        : []),
      sizes.length === 0
        ? 'Its record is deleted. It has no session.state.'
        : `session.state is deleted: ${many(sizes.length, 'key')}, ${bytes(sizes.reduce((sum, one) => sum + one, 0))}.`,
      'This cannot be undone. The log says that the dashboard ordered it.',
    ],
    path: `sessions/${which}/end`,
    done: () => {
      go('#/sessions');
      toast('Ended. Its id answers 404.');
    },
  });
}

export function SessionView({ which }: { which: string }) {
  const polled = usePolled<SessionDetail>(`sessions/${which}`);
  const session = loaded(polled);
  if (session === undefined) return <Waiting of={polled} what="session" />;
  if (session.ended !== undefined)
    return (
      <Head title="This session has ended.">
        <p>
          <code>{session.hash}</code>: {session.ended.reason.replaceAll('_', ' ')},{' '}
          <When at={session.ended.at} />. Its id answers 404. <a href="#/sessions">All sessions</a>
        </p>
      </Head>
    );
  const { userName, status, owner, state } = session;
  return (
    <>
      <Waiting of={polled} what="session" />
      <Head title={titleOf(session)}>
        <p>
          <State name={status} /> {ofUser(userName)}. <a href="#/sessions">All sessions</a>
        </p>
        <button type="button" onClick={() => end(which, session)}>
          End session…
        </button>
      </Head>
      <Facts
        of={[
          ['Hash', <code>{session.hash}</code>],
          [
            'Instance',
            owner === undefined ? (
              'none: the store has it'
            ) : (
              <a href={`#/instances/${owner}`}>{nameOf(owner)}</a>
            ),
          ],
          ['Revision', session.protocolVersion],
          ['Opened', <When at={session.createdAt} />],
          ['Active, saved', <When at={session.activeAt} />],
          [
            'Expires, at the earliest',
            session.expiresAt === null ? 'never' : new Date(session.expiresAt).toLocaleString(),
          ],
          ['Running', session.running === undefined ? undefined : many(session.running, 'request')],
          ['Capabilities', session.capabilities.join(', ') || 'none'],
          ['Subscriptions', count(session.subscriptions)],
          ['Record', bytes(session.bytes)],
        ]}
      />
      <h2>session.state</h2>
      <StateTable label="session.state" of={state} />
    </>
  );
}
