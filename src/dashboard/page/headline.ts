/** The first line of the fleet: a sentence that is true now, and a second one with what follows from it. */
import type { Figures, InstanceRow } from '../wire.ts';
import { count, list, many, ms, span } from './format.ts';
import { fleet, nameOf, now, present, serving } from './state.ts';

const RECENT_MS = 75_000;

interface Headline {
  readonly title: string;
  readonly more: string;
}

export const total = (of: (figures: Figures) => number | undefined, rows = present()): number =>
  rows.reduce((sum, { figures }) => sum + ((figures && of(figures)) ?? 0), 0);

const sessionsOf = ({ sessions }: Figures): number => sessions;
const waitingOf = ({ waiting }: Figures): number => waiting;

const waitText = (waiting: number, where = ''): string =>
  waiting === 0 ? '' : ` ${many(waiting, 'request')} ${waiting === 1 ? 'waits' : 'wait'}${where}.`;

const isAre = (rows: readonly InstanceRow[], one: string, more: string): string =>
  rows.length === 1 ? one : more;

const names = (rows: readonly InstanceRow[]): string => list(rows.map(({ id }) => nameOf(id)));

function storeUnavailable(since: number): Headline {
  const own = fleet.value?.instances.find(({ id }) => id === fleet.value?.instance)?.figures;
  return {
    title: `The store has not answered for ${span(now.value - since)}.${waitText(own?.waiting ?? 0, ' for it here')}`,
    more: 'Requests on sessions wait for it, up to maxWaitMs, and no session is lost. The other instances are shown as they were before: what they do is known again once it is back.',
  };
}

function silent(rows: readonly InstanceRow[]): Headline {
  const since = Math.min(...rows.map((row) => row.since));
  return {
    title: `${names(rows)} ${isAre(rows, 'has', 'have')} not answered for ${span(now.value - since)}.${waitText(total(waitingOf))}`,
    more: 'When a lease ends, after a few seconds, other instances take its sessions over.',
  };
}

function draining(rows: readonly InstanceRow[]): Headline {
  const time = fleet.value?.drainMs;
  return {
    title: `${names(rows)} ${isAre(rows, 'is', 'are')} draining: ${many(total(sessionsOf, rows), 'session')} still there.`,
    more: `Running calls have ${time === undefined ? 'time to finish' : span(time)}. The sessions go to the store and continue elsewhere.`,
  };
}

/** What requests noticed in the last minutes, as the instances say that have their clients. */
function outcome(): string {
  const [waited, refused] = [total((of) => of.waited?.calls), total((of) => of.waited?.refused)];
  const [rerun, lost] = [total((of) => of.rerun), total((of) => of.lost)];
  const longest = Math.max(0, ...present().map(({ figures }) => figures?.waited?.longestMs ?? 0));
  const parts = [
    waited > 0 && `${many(waited, 'request')} waited, the longest ${ms(longest)}`,
    refused > 0 && `${count(refused)} of them failed`,
    rerun > 0 && `${many(rerun, 'call')} ran again elsewhere`,
    lost > 0 &&
      `${many(lost, 'call')} may have run, and ${lost === 1 ? 'its client knows' : 'their clients know'}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? 'No request waited.' : `${parts.join('; ')}.`;
}

/** The last outage that an instance has seen the end of. */
function outage(): { readonly since: number; readonly ms: number } | undefined {
  const all = present().flatMap(({ figures }) => figures?.away ?? []);
  return all.toSorted((one, other) => other.since + other.ms - one.since - one.ms)[0];
}

function calm(): Headline {
  const [number, sessions, waiting] = [serving().length, total(sessionsOf), total(waitingOf)];
  const waits = waiting === 0 ? ' Nothing waits.' : waitText(waiting);
  return {
    title:
      number === 0
        ? 'No instance serves.'
        : `${many(number, 'instance')} ${number === 1 ? 'serves' : 'serve'} ${many(sessions, 'live session')}.${waits}`,
    more: 'Nothing was interrupted in the last minute.',
  };
}

export function headline(): Headline {
  const { awaySince, instances = [] } = fleet.value ?? {};
  if (awaySince !== undefined) return storeUnavailable(awaySince);
  const of = (state: InstanceRow['state']) => instances.filter((row) => row.state === state);
  if (of('silent').length > 0) return silent(of('silent'));
  if (of('draining').length > 0) return draining(of('draining'));
  const killed = of('killed').filter(({ since }) => now.value - since < RECENT_MS);
  const away = outage();
  const [awayEnd, death] = [
    away === undefined ? 0 : away.since + away.ms,
    Math.max(0, ...killed.map((row) => row.since)),
  ];
  if (death > awayEnd)
    return {
      title: `${names(killed)} ${isAre(killed, 'was', 'were')} killed ${span(now.value - death)} ago. ${outcome()}`,
      more: 'No lease was given back: a crash, a kill or a cut network. The sessions continue on other instances with their next request.',
    };
  if (away !== undefined && now.value - awayEnd < RECENT_MS)
    return {
      title: `The store was away for ${ms(away.ms)}, until ${span(now.value - awayEnd)} ago. ${outcome()}`,
      more: 'No session was lost.',
    };
  return calm();
}
