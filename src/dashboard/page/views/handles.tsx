/** Handles of the deployment, and one of them. */
import type { HandleDetail, HandleRow } from '../../wire.ts';
import { confirm } from '../dialog.tsx';
import { bytes, count, many, NONE } from '../format.ts';
import { go, nameOf, usePolled } from '../state.ts';
import { type Column, Facts, Head, toast, When } from '../ui.tsx';
import { loaded, ofUser, RecordList, StateTable, Waiting } from './records.tsx';

/** Where its object is open, and since when. */
const placeOf = ({ object }: Pick<HandleRow, 'object'>) =>
  object && (
    <>
      {nameOf(object.instance)}, <When at={object.openedAt} />
    </>
  );

const COLUMNS: readonly Column<HandleRow>[] = [
  { label: 'Kind', of: (row) => <a href={`#/handles/${row.ref}`}>{row.kind}</a> },
  { label: 'User', of: ({ userName }) => userName ?? NONE },
  { label: 'Open at', of: (row) => placeOf(row) ?? NONE },
  { label: 'Hash', of: ({ hash }) => <code>{hash}</code>, optional: true },
  { label: 'Bytes', number: (row) => row.bytes, of: (row) => count(row.bytes) },
  {
    label: 'Made',
    number: ({ createdAt }) => createdAt,
    of: ({ createdAt }) => <When at={createdAt} />,
  },
];

export function HandlesView({ query }: { query: string }) {
  return (
    <RecordList
      key={query}
      view="handles"
      title="Handles"
      help="Hash, user, kind or instance"
      query={query}
      columns={COLUMNS}
      none={<p>There are no handles. A tool makes one with openHandle().</p>}
    />
  );
}

function close(which: string, reload: () => void): void {
  confirm({
    title: 'Close its object?',
    yes: 'Close object',
    lines: () => [
      'Calls that use it are aborted. The next call opens it again, from its state.',
      'The log says that the dashboard ordered it.',
    ],
    path: `handles/${which}/close`,
    done: reload,
  });
}

function end(which: string, { kind, userName, state }: HandleDetail): void {
  confirm({
    title: 'End this handle?',
    yes: 'End handle',
    lines: () => [
      `The ${kind} of ${userName ?? 'no user'} ends: tools that get it say so to the model. Its object closes.`,
      `Its state is deleted: ${many(Object.keys(state).length, 'key')}.`,
      'This cannot be undone. The log says that the dashboard ordered it.',
    ],
    path: `handles/${which}/end`,
    done: () => {
      go('#/handles');
      toast('Ended.');
    },
  });
}

export function HandleView({ which }: { which: string }) {
  const polled = usePolled<HandleDetail>(`handles/${which}`);
  const handle = loaded(polled);
  if (handle === undefined) return <Waiting of={polled} what="handle" />;
  const { hash, kind, userName, createdAt, expiresAt, state, object } = handle;
  return (
    <>
      <Waiting of={polled} what="handle" />
      <Head title={kind}>
        <p>
          {ofUser(userName)}. <a href="#/handles">All handles</a>
        </p>
        {object !== undefined && (
          <button type="button" onClick={() => close(which, polled.reload)}>
            Close object…
          </button>
        )}
        <button type="button" onClick={() => end(which, handle)}>
          End handle…
        </button>
      </Head>
      <Facts
        of={[
          ['Hash', <code>{hash}</code>],
          ['Made', <When at={createdAt} />],
          ['Expires', new Date(expiresAt).toLocaleString()],
          ['State', bytes(handle.bytes)],
          ['Open at', placeOf(handle)],
        ]}
      />
      <StateTable label="State" of={state} />
    </>
  );
}
