/** Tasks that have not ended, and one task. */
import type { FleetPage, ShownTask, TaskDetail, TaskRow } from '../../wire.ts';
import { confirm } from '../dialog.tsx';
import { bytes, count, NONE } from '../format.ts';
import { nameOf, usePolled } from '../state.ts';
import { Code, type Column, Facts, Head, State, Table, toast, When } from '../ui.tsx';
import { loaded, RecordList, Waiting } from './records.tsx';

const attemptOf = ({ attempt, maxAttempts }: Pick<TaskRow, 'attempt' | 'maxAttempts'>): string =>
  attempt === undefined ? NONE : `${attempt} of ${count(maxAttempts)}`;

const COLUMNS: readonly Column<TaskRow>[] = [
  { label: 'Tool', of: ({ ref, hash, tool }) => <a href={`#/tasks/${ref}`}>{tool ?? hash}</a> },
  { label: 'User', of: ({ userName }) => userName ?? NONE },
  { label: 'Status', of: ({ status }) => <State name={status} /> },
  { label: 'Instance', of: ({ owner }) => (owner === undefined ? NONE : nameOf(owner)) },
  { label: 'Hash', of: ({ hash }) => <code>{hash}</code>, optional: true },
  { label: 'Attempt', of: attemptOf, optional: true },
  {
    label: 'Created',
    number: ({ createdAt }) => createdAt,
    of: ({ createdAt }) => <When at={createdAt} />,
  },
  { label: 'Message', of: ({ message }) => message ?? NONE, optional: true },
];

export function TasksView({ page, query }: { page: FleetPage; query: string }) {
  const isServed = page.tasks === true;
  return (
    <RecordList
      key={query}
      view="tasks"
      title="Tasks"
      help="Id, hash, user, tool or instance"
      query={query}
      columns={COLUMNS}
      none={
        <>
          <p>
            {isServed ? 'No task is open.' : 'This endpoint serves no tasks. The option that does:'}
          </p>
          <Code
            text={isServed ? "import { task } from 'sojourn'" : 'sojourn serve server.js --tasks'}
          />
        </>
      }
    />
  );
}

function cancel(which: string, { tool, owner }: ShownTask, reload: () => void): void {
  confirm({
    title: 'Cancel this task?',
    yes: 'Cancel task',
    lines: () => [
      owner === undefined
        ? `No instance runs ${tool ?? 'it'} now. It does not run again.`
        : `${tool ?? 'Its handler'} runs on ${nameOf(owner)}. Its signal aborts; what it has done so far stays done.`,
      'Its client sees the status cancelled. Recorded steps are deleted.',
      'This cannot be undone. The log says that the dashboard ordered it.',
    ],
    path: `tasks/${which}/cancel`,
    done: () => {
      toast('Cancelled');
      reload();
    },
  });
}

/** Why nothing happens, or where it happens. */
function story({ status, owner, questions }: ShownTask): string {
  const open = questions.filter(({ answered }) => !answered).map(({ name }) => `“${name}”`);
  if (status === 'input_required')
    return `It waits for its client to answer ${open.join(' and ')}.`;
  if (status === 'detached')
    return 'Work elsewhere ends it, with endpoint.tasks.complete() or fail().';
  if (status === 'queued') return 'No instance has it. One takes it within seconds.';
  return status === 'orphaned'
    ? 'Its instance died. Another one takes it within seconds.'
    : `It runs on ${nameOf(owner)}.`;
}

export function TaskView({ which }: { which: string }) {
  const polled = usePolled<TaskDetail>(`tasks/${which}`);
  const task = loaded(polled);
  if (task === undefined) return <Waiting of={polled} what="task" />;
  if (task.ended !== undefined) {
    const { status, at, ...error } = task.ended;
    const why = [error.errorCode, error.reason].filter((part) => part !== undefined).join(' ');
    return (
      <Head
        title={`${task.tool ?? 'A task'} ${status === 'expired' ? 'has expired' : `was ${status}`}.`}
      >
        <p>
          <code>{task.hash}</code>, <When at={at} />
          {why !== '' && `, with the error ${why}`}. {task.message} <a href="#/tasks">All tasks</a>
        </p>
      </Head>
    );
  }
  return (
    <>
      <Waiting of={polled} what="task" />
      <Head title={task.tool ?? task.hash}>
        <p>
          <State name={task.status} /> {story(task)} <a href="#/tasks">All tasks</a>
        </p>
        <button type="button" onClick={() => cancel(which, task, polled.reload)}>
          Cancel task…
        </button>
      </Head>
      <Facts
        of={[
          ['Hash', <code>{task.hash}</code>],
          ['User', task.userName ?? 'none'],
          ['Message', task.message],
          ['Created', <When at={task.createdAt} />],
          ['Changed', <When at={task.updatedAt} />],
          [
            'Expires',
            task.expiresAt === null ? 'never' : new Date(task.expiresAt).toLocaleString(),
          ],
          ['Attempt', attemptOf(task)],
          [
            'After a crash',
            task.afterCrash === undefined
              ? 'as the hints of its tool say'
              : task.afterCrash === 'run'
                ? 'it runs again'
                : 'it fails',
          ],
          ['Recorded', `${count(task.steps)} steps and values`],
          ['Size', bytes(task.bytes)],
        ]}
      />
      <h2>Questions</h2>
      <Table
        label="Questions"
        columns={[
          { label: 'Name', of: ({ name }: ShownTask['questions'][number]) => name },
          { label: 'Answered', of: ({ answered }) => (answered ? 'yes' : 'no') },
        ]}
        rows={task.questions}
        keyOf={({ name }) => name}
        none="It has asked nothing. Texts and answers are never shown."
      />
    </>
  );
}
