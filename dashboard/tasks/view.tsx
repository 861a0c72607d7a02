/** Tasks: what is stuck, and whose turn is it? */
import { computed, signal } from '@preact/signals';
import { useEffect, useLayoutEffect } from 'preact/hooks';
import { count, many } from '../format.ts';
import { ListCells, ListHead, sortedBy } from '../lists/columns.tsx';
import { Facets, facetsOf } from '../lists/facets.tsx';
import { FilterField } from '../lists/filter-field.tsx';
import { filterOf, toggled } from '../lists/filter.ts';
import { ScanCount } from '../lists/scan-count.tsx';
import { VirtualList } from '../lists/virtual-list.tsx';
import { fleet, hello } from '../state/model.ts';
import { go, replaceRoute, route } from '../state/route.ts';
import { Icon } from '../ui/icon.tsx';
import { Code, Segments } from '../ui/parts.tsx';
import { usePolled } from '../ui/polled.ts';
import { When } from '../ui/when.tsx';
import { COLUMNS, FACETS, FIRST_SORT, LANGUAGE } from './columns.tsx';
import { loadRunning, loadTasks, newTasks, scanOn, type ShownTask, taskError, tasks } from './tasks.ts';
import { runsText, stateOf } from './words.ts';

const SCAN_MS = 5_000;
const OWNERS_MS = 1_000;

const query = signal('');
const sort = signal(FIRST_SORT);

const found = computed(() => {
  const { rows = [], at = 0 } = tasks.value ?? {};
  const { fits, unknown } = filterOf(query.value, at, LANGUAGE);
  const fitting = rows.filter(fits);
  return { rows: fitting, unknown, facets: facetsOf(fitting, FACETS) };
});

/** Values of owners come every second, and change no place. */
const sorted = computed(() => sortedBy(found.value.rows, COLUMNS, sort.value));

function setQuery(text: string): void {
  query.value = text;
  const trimmed = text.trim();
  replaceRoute(trimmed === '' ? '#/tasks' : `#/tasks?q=${encodeURIComponent(trimmed)}`);
}

function headline(rows: readonly ShownTask[]): string {
  const open = rows.filter(({ isOver }) => isOver !== true);
  const asking = open.filter((row) => stateOf(row) === 'input_required').length;
  const lost = open.filter(({ status }) => status === 'orphaned').length;
  const parts = [
    asking > 0 && `${many(asking, 'task')} ${asking === 1 ? 'waits' : 'wait'} for an answer`,
    open.length > asking &&
      `${many(open.length - asking, 'task')} ${open.length - asking === 1 ? 'is' : 'are'} under way`,
    lost > 0 && `${count(lost)} of them lost their owner`,
  ].filter(Boolean);
  return parts.length === 0 ? 'No task is open.' : `${parts.join(', ')}.`;
}

function ScanLine() {
  const { value } = tasks;
  const { rows, unknown } = found.value;
  const all = fleet.value?.tasks ?? 0;
  return (
    <div class="scan" role="status">
      {value !== undefined && <ScanCount shown={rows.length} of={value.rows.length} unknown={unknown} />}
      {value !== undefined && (
        <span>
          {value.hasMore
            ? `${count(value.rows.length)} of about ${count(Math.max(all, value.rows.length))} scanned `
            : 'all scanned '}
          <When at={value.at} ago />
          {newTasks.value > 0 && `; ${count(newTasks.value)} more since`}
        </span>
      )}
      {taskError.value !== undefined && (
        <span class="c-bad">
          <Icon name="gone" /> The scan failed: {taskError.value}
        </span>
      )}
      {value?.hasMore === true && (
        <button class="btn quiet" type="button" onClick={() => void scanOn()}>
          Scan on
        </button>
      )}
      <button class="btn quiet" type="button" id="rescan" onClick={() => void loadTasks(false)}>
        Scan again <kbd>u</kbd>
      </button>
    </div>
  );
}

const Cells = ({ row }: { row: ShownTask }) => (
  <>
    <ListCells columns={COLUMNS} row={row} />
    <span class="nc" aria-hidden="true">
      {row.userName ?? 'no user'}, {runsText(row)}
    </span>
  </>
);

const Empty = () => (
  <div role="row">
    <div class="none" role="gridcell">
      No task fits.{' '}
      <button class="btn" type="button" onClick={() => setQuery('')}>
        Clear the filter
      </button>
    </div>
  </div>
);

const EXAMPLE = `import { task } from 'sojourn/tasks';
server.registerTool('report', {}, task(async (ctx, task) => {
  const rows = await task.step('rows', () => collect());
  const text = await task.step('render', () => render(rows));
  return { content: [{ type: 'text', text }] };
}));`;

const NoTask = () => (
  <div class="blank">
    <h1>No task is open.</h1>
    <p>
      A tool makes tasks when its handler is wrapped in <code>task(…)</code>. They survive their process, and their
      clients may leave and come back. A task that has ended is not listed.
    </p>
    <Code text={EXAMPLE} />
  </div>
);

const WAYS = [
  { key: 'module', label: 'Module', text: 'createMcpEndpoint(server, { tasks: true })' },
  { key: 'flag', label: 'Flag', text: 'sojourn serve server.js --tasks' },
  { key: 'variable', label: 'Variable', text: 'SOJOURN_TASKS=true' },
] as const;
const way = signal<(typeof WAYS)[number]['key']>('module');

const Off = () => (
  <div class="blank">
    <h1>This endpoint serves no tasks.</h1>
    <p>
      The option <code>tasks</code> is off. With it a tool may answer at once with a task, which runs on and survives
      its process.
    </p>
    <div class="row">
      <Segments label="Where" on={way.value} items={WAYS} choose={(key) => (way.value = key)} />
    </div>
    <Code text={WAYS.find(({ key }) => key === way.value)?.text ?? ''} />
  </div>
);

function List({ rows }: { rows: readonly ShownTask[] }) {
  useLayoutEffect(() => {
    document.body.classList.add('tall');
    return () => document.body.classList.remove('tall');
  }, []);
  return (
    <div class="list tasks">
      <Facets facets={found.value.facets} query={query.value} choose={(term) => setQuery(toggled(query.value, term))} />
      <div class="col">
        <div class="listbar">
          <h1>{headline(rows)}</h1>
          <FilterField
            label="Filter tasks"
            placeholder="tool:render_report user:ann state:input_required, or any word"
            value={query.value}
            set={setQuery}
          />
        </div>
        <ScanLine />
        <VirtualList
          label="Tasks"
          items={sorted.value}
          listed={`${query.value} ${JSON.stringify(sort.value)}`}
          columns={COLUMNS.length}
          head={<ListHead columns={COLUMNS} sort={sort} />}
          row={(row) => <Cells row={row} />}
          empty={<Empty />}
          open={({ hash }) => go(`#/tasks/${hash}`)}
        />
      </div>
    </div>
  );
}

export function TasksView() {
  usePolled(loadTasks, SCAN_MS);
  usePolled(loadRunning, OWNERS_MS);
  const q = route.value.query.get('q') ?? '';
  useEffect(() => {
    if (q !== query.peek().trim()) query.value = q;
  }, [q]);
  const { value } = tasks;
  const failure = taskError.value;
  if (value !== undefined && value.rows.length > 0) return <List rows={value.rows} />;
  return (
    <>
      {failure !== undefined && (
        <p class="banner bad" role="status">
          <Icon name="gone" /> {failure} {value !== undefined && 'What you see is older.'}
        </p>
      )}
      {value === undefined && failure === undefined && <p class="none">Reads the store…</p>}
      {value !== undefined && (hello.value?.tasks === true ? <NoTask /> : <Off />)}
    </>
  );
}
