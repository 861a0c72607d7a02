/** Refusals: a client cannot connect. Why, and what allows it? */
import { useState } from 'preact/hooks';
import type { FleetPage, InstanceRow, RefusalFigures, RefusedCaller } from '../../wire.ts';
import { count, many, NONE } from '../format.ts';
import { countedSince, endpointUrl } from '../state.ts';
import { type Column, Code, Head, Table, When } from '../ui.tsx';
import { remedyFor } from '../remedies.ts';
import { adviceFor, titleOf } from '../words.ts';

const keyOf = ({ status, reason }: RefusalFigures): string => `${status} ${reason}`;

/** The refusals of several instances as those of the fleet. */
function reasonsOf(rows: readonly InstanceRow[]): RefusalFigures[] {
  const reasons = new Map<string, RefusalFigures>();
  for (const of of rows.flatMap(({ figures }) => figures?.refusals ?? [])) {
    const known = reasons.get(keyOf(of));
    const [last, other] =
      known === undefined || known.lastAt < of.lastAt ? [of, known] : [known, of];
    const callers = joined([...last.callers, ...(other?.callers ?? [])]);
    reasons.set(keyOf(of), { ...last, times: last.times + (other?.times ?? 0), callers });
  }
  return [...reasons.values()].toSorted((one, other) => other.times - one.times);
}

const textOf = ({ times: _, ...who }: RefusedCaller): string =>
  JSON.stringify(Object.entries(who).toSorted());

function joined(all: readonly RefusedCaller[]): RefusedCaller[] {
  const callers = new Map<string, RefusedCaller>();
  for (const one of all) {
    const times = one.times + (callers.get(textOf(one))?.times ?? 0);
    callers.set(textOf(one), { ...one, times });
  }
  return [...callers.values()].toSorted((one, other) => other.times - one.times);
}

const whoOf = ({ origin, host, client, user }: RefusedCaller): string =>
  [client, user, host, origin].filter((text) => text !== undefined).join(', ') || NONE;

const COLUMNS: readonly Column<RefusalFigures>[] = [
  {
    label: 'Why',
    of: (one) => <a href={`#/refusals/${encodeURIComponent(keyOf(one))}`}>{titleOf(one.reason)}</a>,
  },
  { label: 'Code', of: (one) => <code>{keyOf(one)}</code>, optional: true },
  {
    label: 'Who, most',
    of: ({ callers }) => (callers[0] === undefined ? NONE : whoOf(callers[0])),
    optional: true,
  },
  { label: 'Times', number: ({ times }) => times, of: ({ times }) => count(times) },
  { label: 'Last', number: ({ lastAt }) => lastAt, of: ({ lastAt }) => <When at={lastAt} /> },
];

export const RefusalTable = ({ rows }: { rows: readonly InstanceRow[] }) => (
  <Table
    label="Refusals"
    columns={COLUMNS}
    rows={reasonsOf(rows)}
    keyOf={keyOf}
    none={`No request was refused ${countedSince(rows)}.`}
  />
);

export function RefusalsView({ page }: { page: FleetPage }) {
  const times = reasonsOf(page.instances).reduce((sum, one) => sum + one.times, 0);
  return (
    <>
      <Head title={`${many(times, 'request')} refused`}>
        <p>
          Counted {countedSince(page.instances)}, at all instances. Names are what the callers sent.
          Requests that never arrive cannot be seen from here.
        </p>
      </Head>
      <RefusalTable rows={page.instances} />
      {times === 0 && (
        <>
          <p>To see one, send a request with a foreign origin:</p>
          <Code text={`curl -s ${endpointUrl()} -H 'Origin: https://elsewhere.example' -d '{}'`} />
        </>
      )}
    </>
  );
}

const WAYS = [
  ['flag', 'Flag'],
  ['variable', 'Variable'],
  ['module', 'Module'],
] as const;

function Allow({ of, page }: { of: RefusalFigures; page: FleetPage }) {
  const [way, choose] = useState<(typeof WAYS)[number][0]>('flag');
  const allow = remedyFor(of, page.options);
  const advice = adviceFor(of.reason);
  return (
    <section>
      <h2>{allow === undefined ? 'What to do' : 'What allows it'}</h2>
      {allow !== undefined && (
        <>
          <div class="ways" role="group" aria-label="Where">
            {WAYS.map(([key, label]) => (
              <button
                key={key}
                type="button"
                aria-pressed={way === key}
                onClick={() => choose(key)}
              >
                {label}
              </button>
            ))}
          </div>
          <Code text={allow[way]} />
        </>
      )}
      <p>
        {advice ??
          (allow === undefined ? 'No option allows it: the caller must change what it sends.' : '')}
      </p>
    </section>
  );
}

const CALLER_COLUMNS: readonly Column<RefusedCaller>[] = [
  { label: 'Client', of: ({ client }) => client ?? NONE },
  { label: 'User or address', of: ({ user }) => user ?? NONE },
  { label: 'Origin', of: ({ origin }) => origin ?? NONE },
  { label: 'Host', of: ({ host }) => host ?? NONE },
  { label: 'Times', number: ({ times }) => times, of: ({ times }) => count(times) },
];

export function RefusalView({ page, id }: { page: FleetPage; id: string }) {
  const one = reasonsOf(page.instances).find((reason) => keyOf(reason) === id);
  if (one === undefined)
    return (
      <Head title="Not refused lately">
        <p>
          No request was refused as <code>{id}</code> {countedSince(page.instances)}.{' '}
          <a href="#/refusals">All refusals</a>
        </p>
      </Head>
    );
  return (
    <>
      <Head title={titleOf(one.reason)}>
        <p>
          <code>{id}</code>, {many(one.times, 'time')}, last <When at={one.lastAt} />.{' '}
          <a href="#/refusals">All refusals</a>
        </p>
      </Head>
      <section>
        <h2>What the caller reads</h2>
        <p class="read">{one.why}</p>
      </section>
      <Allow key={id} of={one} page={page} />
      <section>
        <h2>Who</h2>
        <Table
          label="Callers"
          columns={CALLER_COLUMNS}
          rows={one.callers}
          keyOf={textOf}
          none="No caller is known."
        />
      </section>
    </>
  );
}
