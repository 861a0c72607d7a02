/** What runs now: which call hangs, of which user? */
import type { InstanceRow, RunNow } from '../../wire.ts';
import { NONE, span } from '../format.ts';
import { nameOf, now } from '../state.ts';
import { type Column, Table } from '../ui.tsx';

interface RunRow extends RunNow {
  readonly at: InstanceRow;
  readonly key: string;
}

const COLUMNS: readonly Column<RunRow>[] = [
  {
    label: 'Since',
    number: ({ since }) => now.value - since,
    of: ({ since, runsOn }) =>
      `${span(now.value - since)}${runsOn === true ? ', its client left' : ''}`,
  },
  { label: 'Call', of: ({ tool, method }) => tool ?? <code>{method}</code> },
  { label: 'User', of: ({ user }) => user ?? NONE },
  {
    label: 'Session',
    of: ({ session }) =>
      session === undefined ? NONE : <a href={`#/sessions/${session}`}>{session}</a>,
  },
  { label: 'Client', of: ({ client }) => client ?? NONE, optional: true },
  { label: 'Instance', of: ({ at }) => <a href={`#/instances/${at.id}`}>{nameOf(at.id)}</a> },
];

/** An instance shows all of its own calls. Of the others the store has the oldest, as they were some seconds ago. */
export function Runs({ rows }: { rows: readonly InstanceRow[] }) {
  const runs = rows
    .flatMap((at) =>
      (at.figures?.runs ?? []).map((run, k) => ({ ...run, at, key: `${at.id} ${run.since} ${k}` })),
    )
    .toSorted((one, other) => one.since - other.since);
  if (runs.length === 0) return null;
  return (
    <>
      <h2>What runs now</h2>
      <Table label="What runs now" columns={COLUMNS} rows={runs} keyOf={({ key }) => key} />
    </>
  );
}
