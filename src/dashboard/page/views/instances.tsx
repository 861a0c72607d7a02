/** The fleet: is it well, and what just happened? And one instance of it. */
import type { Figures, FleetPage, InstanceRow } from '../../wire.ts';
import { confirm } from '../dialog.tsx';
import { count, list, many, ms, rate, span } from '../format.ts';
import { headline, total } from '../headline.ts';
import { Picture } from '../picture.tsx';
import { endpointUrl, fleet, nameOf, now, present, serving } from '../state.ts';
import { Code, type Column, Facts, Head, State, Table, toast, When } from '../ui.tsx';
import { RefusalTable } from './refusals.tsx';
import { Runs } from './runs.tsx';
import { Failures, ToolTable } from './tools.tsx';

/** Requests a second: of the last ten seconds that are complete. */
const callsOf = ({ calls }: Figures): number =>
  calls.slice(-6, -1).reduce((sum, one) => sum + one, 0) / 10;
const errorsOf = ({ errors }: Figures): number => errors / 10;

const figure = (
  label: string,
  of: (figures: Figures) => number | undefined,
  text: (value?: number) => string,
) => ({
  label,
  number: (row: InstanceRow) => presentOf(row, of),
  of: (row: InstanceRow) => text(presentOf(row, of)),
});

/** An instance that ended has figures of the past alone. */
const presentOf = ({ state, figures }: InstanceRow, of: (figures: Figures) => number | undefined) =>
  figures === undefined || state === 'killed' || state === 'left' ? undefined : of(figures);

const COLUMNS: readonly Column<InstanceRow>[] = [
  { label: 'Instance', of: ({ id }) => <a href={`#/instances/${id}`}>{nameOf(id)}</a> },
  {
    label: 'State',
    of: ({ state, since }) => (
      <>
        <State name={state} /> <When at={since} suffix="" />
      </>
    ),
  },
  figure('Sessions', ({ sessions }) => sessions, count),
  figure('Running', ({ running }) => running, count),
  figure('Waiting', ({ waiting }) => waiting, count),
  figure('Calls/s', callsOf, rate),
  figure('Errors/s', errorsOf, rate),
  figure('p50', ({ p50 }) => p50, ms),
  figure('p99', ({ p99 }) => p99, ms),
  figure('Store', ({ storeMs }) => storeMs, ms),
  { label: 'Version', of: ({ version }) => version, optional: true },
  { label: 'Up', of: ({ process }) => <When at={process?.startedAt} suffix="" />, optional: true },
];

const KEPT: readonly Column<FleetPage['kept'][number]>[] = [
  { label: 'User', of: ({ user, share }) => user ?? <code>{share}</code> },
  { label: 'Kept', of: ({ bytes }) => `${(bytes / 1_048_576).toFixed(1)} MiB` },
];

const DEATHS: readonly Column<FleetPage['deaths'][number]>[] = [
  {
    label: 'Instance',
    of: ({ id, process }) =>
      process === undefined ? id.slice(0, 8) : `${process.host} ${process.pid}`,
  },
  { label: 'Died', of: ({ at }) => <When at={at} /> },
  { label: 'Ran for', of: ({ at, joinedAt }) => span(at - joinedAt) },
  // The figures that it last sent.
  { label: 'Sessions', of: ({ sessions }) => count(sessions) },
  { label: 'Running', of: ({ running }) => count(running) },
];

export function drain({ id, figures }: InstanceRow): void {
  const name = nameOf(id);
  const others = serving().flatMap((one) => (one.id === id ? [] : nameOf(one.id)));
  const time = fleet.value?.drainMs;
  confirm({
    title: `Drain ${name}?`,
    yes: 'Drain instance',
    lines: () => [
      `It stops accepting connections. ${many(figures?.running ?? 0, 'running request')} ${figures?.running === 1 ? 'has' : 'have'} ${time === undefined ? 'time' : span(time)} to finish.`,
      `Its ${many(figures?.sessions ?? 0, 'session')} ${figures?.sessions === 1 ? 'goes' : 'go'} to the store and continue on ${list(others) || 'no other instance'} with the next request.`,
      'Under sojourn serve its process then ends. What started it decides whether it starts again.',
      ...(others.length === 0
        ? [<b>It is the only instance: until another one starts, connections are refused.</b>]
        : []),
    ],
    path: `instances/${encodeURIComponent(id)}/drain`,
    done: () => toast(`${name} has the order to drain`),
  });
}

/** No session, no request, and nothing that the headline must say. */
const isEmpty = ({ instances }: FleetPage): boolean =>
  serving().length > 0 &&
  instances.every(({ state }) => state === 'serving') &&
  present().every(
    ({ figures }) => figures?.sessions === 0 && figures.running === 0 && figures.p50 === undefined,
  );

function Empty({ store }: Pick<FleetPage, 'store'>) {
  const url = endpointUrl();
  const number = serving().length;
  return (
    <section>
      <Head
        title={`${many(number, 'instance')} ${number === 1 ? 'serves' : 'serve'}. No client is connected.`}
      >
        <p>Point a client at the endpoint, and it appears here:</p>
      </Head>
      <Code text={url} />
      <Code text={`claude mcp add --transport http server ${url}`} />
      <Code
        text={`npx @modelcontextprotocol/inspector --cli ${url} --transport http --method tools/list`}
      />
      {store === 'memory' && (
        <>
          <p>The store is the memory of this process, so sessions end with it. To keep them:</p>
          <Code text="npx sojourn serve server.js --dashboard --store sqlite:./sessions.db" />
        </>
      )}
      <p>
        A client that cannot connect is listed under <a href="#/refusals">Refusals</a>, with the
        option that allows it.
      </p>
    </section>
  );
}

export function InstancesView({ page }: { page: FleetPage }) {
  const { title, more } = headline();
  const worst = (name: 'p99' | 'storeMs') =>
    Math.max(0, ...present().map(({ figures }) => figures?.[name] ?? 0));
  return (
    <>
      {isEmpty(page) && page.awaySince === undefined ? (
        <Empty store={page.store} />
      ) : (
        <Head title={title}>
          <p>{more}</p>
        </Head>
      )}
      <dl class="figures" aria-label="All instances">
        {(
          [
            ['Live sessions', count(total(({ sessions }) => sessions))],
            ['Running', count(total(({ running }) => running))],
            ['Waiting', count(total(({ waiting }) => waiting))],
            ['Calls/s', rate(total(callsOf))],
            ['Errors/s', rate(total(errorsOf))],
            ['p99', ms(worst('p99') || undefined)],
            ['Store', ms(worst('storeMs'))],
          ] as const
        ).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Picture page={page} />
      <Table label="Instances" columns={COLUMNS} rows={page.instances} keyOf={({ id }) => id} />
      <Runs rows={present()} />
      {page.deaths.length > 0 && (
        <>
          <h2>Deaths of the last hour</h2>
          <Table
            label="Deaths of the last hour"
            columns={DEATHS}
            rows={page.deaths}
            keyOf={({ id }) => id}
          />
        </>
      )}
      {page.kept.length > 0 && (
        <>
          <h2>Kept in the store</h2>
          <Table
            label="Kept in the store"
            columns={KEPT}
            rows={page.kept}
            keyOf={({ share }) => share}
          />
        </>
      )}
    </>
  );
}

export function InstanceView({ page, id }: { page: FleetPage; id: string }) {
  const row = page.instances.find((one) => one.id === id);
  if (row === undefined)
    return (
      <Head title="This instance has left.">
        <p>
          Nothing is known of <code>{id}</code>. <a href="#/instances">All instances</a>
        </p>
      </Head>
    );
  const { state, since, version, figures } = row;
  const { host, pid, startedAt, runtime } = row.process ?? {};
  const name = nameOf(id);
  const isThere = state === 'serving' || state === 'draining' || state === 'silent';
  return (
    <>
      <Head title={name}>
        <p>
          <State name={state} /> for {span(now.value - since)}.
          {!isThere && ' Its figures are the last that it told.'}{' '}
          <a href={`#/sessions?q=${encodeURIComponent(id)}`}>Its sessions</a>
        </p>
        {isThere && (
          <button type="button" onClick={() => drain(row)}>
            Drain…
          </button>
        )}
      </Head>
      <Facts
        of={[
          ['Instance', <code>{id}</code>],
          ['Process', pid === undefined ? undefined : `pid ${pid} on ${host}`],
          ['Started', <When at={startedAt} />],
          ['Version', [version, runtime].filter(Boolean).join(', ')],
          ['Live sessions', count(figures?.sessions)],
          [
            'Requests',
            figures && `${count(figures.running)} running, ${count(figures.waiting)} waiting`,
          ],
          [
            'Calls',
            figures && `${rate(callsOf(figures))} a second, ${rate(errorsOf(figures))} failed`,
          ],
          ['Times', figures && `p50 ${ms(figures.p50)}, p99 ${ms(figures.p99)} in the last minute`],
          ['Store', figures && `${ms(figures.storeMs)} for the last renewal of its lease`],
          [
            'Waited',
            figures?.waited &&
              `${many(figures.waited.calls, 'request')}, the longest ${ms(figures.waited.longestMs)}`,
          ],
        ]}
      />
      {figures === undefined ? (
        <p>
          It has no dashboard, so only its lease is known. Mount the dashboard on every instance.
        </p>
      ) : (
        <>
          <Runs rows={[row]} />
          <h2>Tools</h2>
          <ToolTable rows={[row]} />
          <Failures rows={[row]} />
          <h2>Refusals</h2>
          <RefusalTable rows={[row]} />
        </>
      )}
    </>
  );
}
