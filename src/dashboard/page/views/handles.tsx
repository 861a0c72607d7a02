/** Handles of the deployment, and one of them. */
import type { HandleDetail, HandleRow } from '../../wire.ts';
import { confirm } from '../dialog.tsx';
import { bytes, count, many, NONE } from '../format.ts';
import { go, nameOf, usePolled } from '../state.ts';
import { type Column, Facts, Head, Table, toast, When } from '../ui.tsx';
import { loaded, RecordList, Waiting } from './records.tsx';

const COLUMNS: readonly Column<HandleRow>[] = [
  { label: 'Kind', of: (row) => <a href={`#/handles/${row.ref}`}>{row.kind}</a> },
  { label: 'User', of: ({ userName }) => userName ?? NONE },
  {
    label: 'Object',
    of: ({ object }) =>
      object === undefined ? (
        NONE
      ) : (
        <>
          open at {nameOf(object.instance)}, <When at={object.openedAt} />
        </>
      ),
  },
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

const whose = ({ kind, userName }: HandleDetail): string =>
  `The ${kind} of ${userName ?? 'a caller without a user'}`;

function close(which: string, handle: HandleDetail, reload: () => void): void {
  confirm({
    title: 'Close its object?',
    yes: 'Close object',
    lines: () => [
      `${whose(handle)} closes on ${nameOf(handle.object?.instance)}. Calls that use it are aborted.`,
      'The handle and its state stay: the next call opens the object again.',
      'The log says that the dashboard ordered it.',
    ],
    path: `handles/${which}/close`,
    done: () => {
      toast('Ordered.');
      reload();
    },
  });
}

function end(which: string, handle: HandleDetail): void {
  confirm({
    title: 'End this handle?',
    yes: 'End handle',
    lines: () => [
      `${whose(handle)} ends: tools that get it say so to the model. Its object closes.`,
      `Its state is deleted: ${many(Object.keys(handle.state).length, 'key')}.`,
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
          {userName === undefined ? 'Without a user' : `Of ${userName}`}.{' '}
          <a href="#/handles">All handles</a>
        </p>
        {object !== undefined && (
          <button type="button" onClick={() => close(which, handle, polled.reload)}>
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
          ['Object', object === undefined ? 'not open' : `open at ${nameOf(object.instance)}`],
          ['Opened', object && <When at={object.openedAt} />],
        ]}
      />
      <Table
        label="State"
        columns={[
          { label: 'Key', of: ([key]: [string, number]) => <code>{key}</code> },
          { label: 'Bytes', number: ([, size]) => size, of: ([, size]) => count(size) },
        ]}
        rows={Object.entries(state)}
        keyOf={([key]) => key}
        none="It has no values. Values themselves are never shown."
      />
    </>
  );
}
