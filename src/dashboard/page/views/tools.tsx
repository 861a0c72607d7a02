/** Which tool is slow, and which one fails? One row for each tool, and one tool by instance. */
import type { FleetPage, InstanceRow, ToolFigures } from '../../wire.ts';
import { count, ms, percent } from '../format.ts';
import { nameOf } from '../state.ts';
import { type Column, Head, Table } from '../ui.tsx';

interface Tool extends ToolFigures {
  /** The instance, where the row is of one. */
  readonly at?: InstanceRow;
}

const OTHER = '_OTHER';

/**
 * The tools of several instances as those of the fleet. `p50` is weighted by calls. `p99` is that of the instance where
 * it is longest: the percentiles of instances have no sum.
 */
function toolsOf(rows: readonly InstanceRow[]): Tool[] {
  const tools = new Map<string, Tool>();
  for (const tool of rows.flatMap(({ figures }) => figures?.tools ?? [])) {
    const known = tools.get(tool.name);
    if (known === undefined) {
      tools.set(tool.name, tool);
      continue;
    }
    const calls = known.calls + tool.calls;
    tools.set(tool.name, {
      name: tool.name,
      calls,
      errors: known.errors + tool.errors,
      p50: (known.p50 * known.calls + tool.p50 * tool.calls) / calls,
      p99: Math.max(known.p99, tool.p99),
      slowest: Math.max(known.slowest, tool.slowest),
    });
  }
  return [...tools.values()].toSorted((one, other) => other.calls - one.calls);
}

const FIGURES: readonly Column<Tool>[] = [
  { label: 'Calls', number: ({ calls }) => calls, of: ({ calls }) => count(calls) },
  { label: 'Errors', number: ({ errors }) => errors, of: ({ errors }) => count(errors) },
  {
    label: 'Share',
    number: ({ errors, calls }) => errors / calls,
    of: ({ errors, calls }) => percent(errors, calls),
    optional: true,
  },
  { label: 'p50', number: ({ p50 }) => p50, of: ({ p50 }) => ms(p50) },
  { label: 'p99', number: ({ p99 }) => p99, of: ({ p99 }) => ms(p99) },
  { label: 'Slowest', number: ({ slowest }) => slowest, of: ({ slowest }) => ms(slowest) },
];

const BY_NAME: readonly Column<Tool>[] = [
  {
    label: 'Tool',
    of: ({ name }) =>
      name === OTHER ? (
        'names that no client has listed'
      ) : (
        <a href={`#/tools/${encodeURIComponent(name)}`}>{name}</a>
      ),
  },
  ...FIGURES,
];

const BY_INSTANCE: readonly Column<Tool>[] = [
  { label: 'Instance', of: ({ at }) => <a href={`#/instances/${at?.id}`}>{nameOf(at?.id)}</a> },
  ...FIGURES,
];

const NONE = 'No tool was called in the last half hour.';

export const ToolTable = ({ rows }: { rows: readonly InstanceRow[] }) => (
  <Table
    label="Tools"
    columns={BY_NAME}
    rows={toolsOf(rows)}
    keyOf={({ name }) => name}
    none={NONE}
  />
);

export const ToolsView = ({ page }: { page: FleetPage }) => (
  <>
    <Head title="Tools">
      <p>
        Calls of the last 30 to 60 minutes at all instances, the 20 tools with the most calls of
        each. The p99 is that of the instance where it is longest.
      </p>
    </Head>
    <ToolTable rows={page.instances} />
  </>
);

export function ToolView({ page, name }: { page: FleetPage; name: string }) {
  const rows = page.instances.flatMap((at) =>
    (at.figures?.tools ?? []).filter((tool) => tool.name === name).map((tool) => ({ ...tool, at })),
  );
  return (
    <>
      <Head title={name}>
        <p>
          Its calls of the last 30 to 60 minutes, by instance. <a href="#/tools">All tools</a>
        </p>
      </Head>
      <Table label={name} columns={BY_INSTANCE} rows={rows} keyOf={({ at }) => at.id} none={NONE} />
    </>
  );
}
