/** The columns of the list of tasks, its filter and its counts. */
import { count, exact, NONE, span } from '../format.ts';
import type { Column, Sort } from '../lists/columns.tsx';
import type { Described } from '../lists/facets.tsx';
import { DURATIONS, type Language, word } from '../lists/filter.ts';
import { now } from '../state/model.ts';
import { Icon } from '../ui/icon.tsx';
import { running, type ShownTask } from './tasks.ts';
import { leftText, runsText, runsWord, STATE_ICON, stateOf } from './words.ts';

/** Its owner knows, else the store. */
const stepsOf = ({ hash, steps }: ShownTask, owners = running.value): number | undefined =>
  owners.get(hash)?.steps ?? steps;

/** What happens now: the message, a question, or the step that runs. */
function nowText({ hash, asks = [], message, status, state }: ShownTask): string {
  if (asks.length > 0) return `asks ${asks.join(', ')}`;
  const step = running.value.get(hash)?.now[0];
  if (message !== undefined) return message;
  if (step !== undefined) return `step ${step.name}`;
  if (status === 'orphaned' || state === 'queued') return 'wants an instance';
  return state === 'detached' ? 'work elsewhere' : NONE;
}

function State({ row }: { row: ShownTask }) {
  if (row.isOver === true) return <>ended</>;
  const state = stateOf(row);
  return (
    <>
      <Icon name={STATE_ICON[state]} />
      {state}
    </>
  );
}

const stateClass = (row: ShownTask): string =>
  row.isOver === true ? 'st nd dim' : stateOf(row) === 'input_required' ? 'st nd c-wait' : 'st nd';

export const COLUMNS: readonly Column<ShownTask>[] = [
  {
    label: 'Tool',
    key: ({ tool = '' }) => tool,
    class: 'na',
    cell: ({ tool }) => tool ?? NONE,
    title: ({ tool }) => tool,
  },
  { label: 'Task', key: ({ hash }) => hash, class: 'mono opt', cell: ({ hash }) => hash },
  { label: 'State', key: stateOf, class: stateClass, cell: (row) => <State row={row} /> },
  {
    label: 'Runs',
    key: runsText,
    class: (row) => (row.status === 'orphaned' ? 'c-moved' : ''),
    cell: runsText,
    title: runsText,
  },
  { label: 'User', key: ({ userName = '' }) => userName, class: '', cell: ({ userName }) => userName ?? NONE },
  {
    label: 'Steps',
    key: (row) => stepsOf(row, running.peek()) ?? -1,
    class: 'r',
    cell: (row) => count(stepsOf(row)),
    down: true,
  },
  {
    label: 'Attempt',
    key: ({ attempt = 0 }) => attempt,
    class: ({ attempt = 1 }) => (attempt > 1 ? 'r c-moved' : 'r'),
    cell: ({ attempt, maxAttempts }) => `${count(attempt)} of ${count(maxAttempts)}`,
    down: true,
  },
  {
    label: 'Now',
    key: ({ asks: [first] = [], message = '' }) => first ?? message,
    class: '',
    cell: nowText,
    title: nowText,
  },
  {
    label: 'Age',
    key: ({ createdAt }) => createdAt,
    class: 'r nb',
    cell: ({ createdAt }) => span(now.value - createdAt),
    title: ({ createdAt }) => exact(createdAt),
    down: true,
  },
  {
    label: 'Time left',
    key: ({ expiresAt }) => expiresAt ?? Infinity,
    class: 'r opt',
    cell: leftText,
    title: ({ expiresAt }) => (expiresAt === null ? 'never' : exact(expiresAt)),
  },
];

/** The newest first. */
export const FIRST_SORT: Sort = { column: 8, down: true };

export const LANGUAGE: Language<ShownTask> = {
  fields: {
    tool: ({ tool }, value) => word(tool).includes(value),
    user: ({ userName }, value) => word(userName) === value,
    state: (row, value) => stateOf(row) === value,
    runs: (row, value) => runsWord(row) === value,
  },
  numbers: {
    age: { of: ({ createdAt }, at) => at - createdAt, units: DURATIONS },
    left: { of: ({ expiresAt }, at) => (expiresAt === null ? undefined : expiresAt - at), units: DURATIONS },
    attempt: { of: ({ attempt }) => attempt, units: {} },
  },
  fits: ({ tool, userName, hash }, text) =>
    word(tool).includes(text) || word(userName).startsWith(text) || hash.startsWith(text),
};

export const FACETS: readonly Described<ShownTask>[] = [
  { label: 'State', key: 'state', of: stateOf, term: stateOf },
  { label: 'Runs', key: 'runs', of: (row) => runsWord(row).replace('-', ' '), term: runsWord },
  { label: 'Tool', key: 'tool', of: ({ tool }) => tool, term: ({ tool }) => word(tool) },
  { label: 'User', key: 'user', of: ({ userName }) => userName, term: ({ userName }) => word(userName) },
];
