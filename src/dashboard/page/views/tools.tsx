/** Which tool is slow, and which one fails? One row for each tool, and one tool by instance. */
import type { FailureFigures, FleetPage, InstanceRow, ToolFigures } from '../../wire.ts';
import { count, ms, percent } from '../format.ts';
import { countedSince, nameOf } from '../state.ts';
import { type Column, Head, Table, When } from '../ui.tsx';
import { meaningOf } from '../words.ts';

interface ToolRow extends ToolFigures {
  /** The instance, where the row is of one. */
  readonly at?: InstanceRow;
}

const OTHER = '_OTHER';

/**
 * The tools of several instances as those of the fleet. `p50` is weighted by calls. `p99` is that of the instance where
 * it is longest: the percentiles of instances have no sum.
 */
function toolsOf(rows: readonly InstanceRow[]): ToolRow[] {
  const tools = new Map<string, ToolRow>();
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

const FIGURES: readonly Column<ToolRow>[] = [
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

const nameOfTool = (name: string) =>
  name === OTHER ? (
    'names that no client has listed'
  ) : (
    <a href={`#/tools/${encodeURIComponent(name)}`}>{name}</a>
  );

const BY_NAME: readonly Column<ToolRow>[] = [
  { label: 'Tool', of: ({ name }) => nameOfTool(name) },
  ...FIGURES,
];

const BY_INSTANCE: readonly Column<ToolRow>[] = [
  { label: 'Instance', of: ({ at }) => <a href={`#/instances/${at?.id}`}>{nameOf(at?.id)}</a> },
  ...FIGURES,
];

const none = (rows: readonly InstanceRow[]): string => `No tool was called ${countedSince(rows)}.`;

export const ToolTable = ({ rows }: { rows: readonly InstanceRow[] }) => (
  <Table
    label="Tools"
    columns={BY_NAME}
    rows={toolsOf(rows)}
    keyOf={({ name }) => name}
    none={none(rows)}
  />
);

interface FailureRow extends FailureFigures {
  readonly key: string;
}

/** Those of several instances as those of the fleet. */
function failuresOf(rows: readonly InstanceRow[], of?: string): FailureRow[] {
  const all = new Map<string, FailureRow>();
  for (const one of rows.flatMap(({ figures }) => figures?.failures ?? [])) {
    if (of !== undefined && one.tool !== of) continue;
    const key = `${one.tool} ${one.why}`;
    const known = all.get(key);
    const times = one.times + (known?.times ?? 0);
    all.set(key, { ...one, key, times, lastAt: Math.max(one.lastAt, known?.lastAt ?? 0) });
  }
  return [...all.values()].toSorted((one, other) => other.times - one.times);
}

const WHY: readonly Column<FailureRow>[] = [
  { label: 'Tool', of: ({ tool }) => nameOfTool(tool) },
  { label: 'Why', of: ({ why }) => meaningOf(why) },
  { label: 'Times', number: ({ times }) => times, of: ({ times }) => count(times) },
  { label: 'Last', number: ({ lastAt }) => lastAt, of: ({ lastAt }) => <When at={lastAt} /> },
];

export const Failures = ({ rows, of }: { rows: readonly InstanceRow[]; of?: string }) => (
  <>
    <h2>Why calls fail</h2>
    <Table
      label="Why calls fail"
      columns={WHY}
      rows={failuresOf(rows, of)}
      keyOf={({ key }) => key}
      none={
        toolsOf(rows).some(({ name, errors }) => errors > 0 && (of ?? name) === name)
          ? 'Why they failed is not known: their instance died.'
          : `No call failed ${countedSince(rows)}.`
      }
    />
  </>
);

export const ToolsView = ({ page }: { page: FleetPage }) => (
  <>
    <Head title="Tools">
      <p>
        Calls {countedSince(page.instances)}: the 20 tools with the most calls of each instance. The
        p99 is that of the instance where it is longest.
      </p>
    </Head>
    <ToolTable rows={page.instances} />
    <Failures rows={page.instances} />
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
          Its calls {countedSince(page.instances)}, by instance. <a href="#/tools">All tools</a>
        </p>
      </Head>
      <Table
        label={name}
        columns={BY_INSTANCE}
        rows={rows}
        keyOf={({ at }) => at.id}
        none={none(page.instances)}
      />
      <Failures rows={page.instances} of={name} />
    </>
  );
}
