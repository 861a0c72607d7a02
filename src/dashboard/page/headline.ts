/** The first line of the fleet: a sentence that is true now, and a second one with what follows from it. */
import type { Figures, InstanceRow } from '../wire.ts';
import { clock, count, list, many, ms, span } from './format.ts';
import { countingOf, fleet, nameOf, now, present, serving } from './state.ts';

const RECENT_MS = 75_000;

interface Headline {
  readonly title: string;
  readonly more: string;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

export const total = (of: (figures: Figures) => number | undefined, rows = present()): number =>
  sum(rows.map(({ figures }) => (figures && of(figures)) ?? 0));

const sessionsOf = ({ sessions }: Figures): number => sessions;
const waitingOf = ({ waiting }: Figures): number => waiting;

const waitText = (waiting: number, where = ''): string =>
  waiting === 0 ? '' : ` ${many(waiting, 'request')} ${waiting === 1 ? 'waits' : 'wait'}${where}.`;

const names = (rows: readonly InstanceRow[]): string => list(rows.map(({ id }) => nameOf(id)));

function storeUnavailable(since: number): Headline {
  const own = fleet.value?.instances.find(({ id }) => id === fleet.value?.instance)?.figures;
  return {
    title: `The store has not answered for ${span(now.value - since)}.${waitText(own?.waiting ?? 0, ' for it here')}`,
    more: 'Requests on sessions wait for it, up to maxWaitMs, and no session is lost.',
  };
}

/** One event has the title. The others, each with its own time, are in the line below. */
function withOthers(
  [first, ...others]: readonly InstanceRow[],
  textOf: (row: InstanceRow) => string,
  more: string,
): Headline {
  const rest = others.slice(0, 3).map(textOf).join(' ');
  return { title: first === undefined ? '' : textOf(first), more: `${rest} ${more}`.trim() };
}

function silent(rows: readonly InstanceRow[]): Headline {
  return withOthers(
    rows.toSorted((one, other) => one.since - other.since),
    ({ id, since }) =>
      `${nameOf(id)} has not answered for ${span(now.value - since)}.${waitText(total(waitingOf))}`,
    'When a lease ends, after a few seconds, other instances take its sessions over.',
  );
}

function draining(rows: readonly InstanceRow[]): Headline {
  const time = fleet.value?.drainMs;
  return {
    title: `${names(rows)} ${rows.length === 1 ? 'is' : 'are'} draining: ${many(total(sessionsOf, rows), 'session')} still there.`,
    more: `Running calls have ${time === undefined ? 'time to finish' : span(time)}. The sessions continue elsewhere.`,
  };
}

/** What became of the calls that an instance died with, as far as others have found them. */
function lostText(id: string): string {
  const found = present().flatMap(({ figures }) => figures?.deaths ?? []);
  const of = found.filter(({ instance }) => instance === id);
  const [rerun, lost] = [sum(of.map((one) => one.rerun)), sum(of.map((one) => one.lost))];
  const parts = [
    rerun > 0 && `${many(rerun, 'call')} ran again elsewhere`,
    lost > 0 &&
      `${many(lost, 'call')} may have run, and ${lost === 1 ? 'its client knows' : 'their clients know'}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? '' : ` ${parts.join('; ')}.`;
}

function killed(rows: readonly InstanceRow[]): Headline {
  return withOthers(
    rows.toSorted((one, other) => other.since - one.since),
    ({ id, since }) => `${nameOf(id)} was killed ${span(now.value - since)} ago.${lostText(id)}`,
    'No lease was given back: a crash, a kill or a cut network. The sessions continue on other instances with their next request.',
  );
}

type ShownOutage = NonNullable<Figures['away']>;

function waitedText(outages: readonly ShownOutage[]): string {
  const waited = outages.flatMap((one) => one.waited ?? []);
  if (waited.length === 0) return 'No request waited.';
  const [calls, refused] = [
    sum(waited.map((one) => one.calls)),
    sum(waited.map((one) => one.refused)),
  ];
  const longest = Math.max(...waited.map(({ longestMs }) => longestMs));
  const failed = refused === 0 ? '' : `; ${count(refused)} of them failed`;
  return `${many(calls, 'request')} waited, the longest ${ms(longest)}${failed}.`;
}

function storeBack(outages: readonly ShownOutage[]): Headline {
  const since = Math.min(...outages.map((one) => one.since));
  const end = Math.max(...outages.map(endOf));
  return {
    title: `The store was away for ${ms(end - since)}, until ${span(now.value - end)} ago. ${waitedText(outages)}`,
    more: 'No session was lost.',
  };
}

const endOf = (outage: ShownOutage): number => outage.since + outage.ms;

/** The last outage, as each instance saw it that has seen its end. */
function lastOutage(): readonly ShownOutage[] {
  const all = present().flatMap(({ figures }) => figures?.away ?? []);
  const last = all.toSorted((one, other) => endOf(other) - endOf(one))[0];
  // An outage that ended before this one began is another event.
  return last === undefined ? [] : all.filter((one) => endOf(one) >= last.since);
}

/** What is not known: a process did not see what was before it began. */
function calmText(): string {
  const [first] = countingOf(present());
  const isShort = first !== undefined && now.value - first.since < RECENT_MS;
  const last = fleet.value?.deaths[0];
  return [
    isShort
      ? `Nothing was interrupted since ${clock(first.since)}, when ${nameOf(first.id)} began to count.`
      : 'Nothing was interrupted in the last minute.',
    last !== undefined &&
      `${many(fleet.value?.deaths.length ?? 0, 'instance')} died in the last hour, the last one ${span(now.value - last.at)} ago.`,
  ]
    .filter((part) => part !== false)
    .join(' ');
}

function calm(): Headline {
  const [number, sessions, waiting] = [serving().length, total(sessionsOf), total(waitingOf)];
  const waits = waiting === 0 ? ' Nothing waits.' : waitText(waiting);
  return {
    title:
      number === 0
        ? 'No instance serves.'
        : `${many(number, 'instance')} ${number === 1 ? 'serves' : 'serve'} ${many(sessions, 'live session')}.${waits}`,
    more: calmText(),
  };
}

export function headline(): Headline {
  const { awaySince, instances = [] } = fleet.value ?? {};
  if (awaySince !== undefined) return storeUnavailable(awaySince);
  const of = (state: InstanceRow['state']) => instances.filter((row) => row.state === state);
  if (of('silent').length > 0) return silent(of('silent'));
  if (of('draining').length > 0) return draining(of('draining'));
  const deaths = of('killed').filter(({ since }) => now.value - since < RECENT_MS);
  const outages = lastOutage();
  const backAt = Math.max(0, ...outages.map(endOf));
  if (deaths.some(({ since }) => since > backAt)) return killed(deaths);
  return now.value - backAt < RECENT_MS ? storeBack(outages) : calm();
}
