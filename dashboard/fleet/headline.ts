/** The first line of the Fleet view: a sentence that is true now, and a second sentence with details. */
import type { FleetInstance, StoppedInstance } from '../../src/dashboard/wire.ts';
import { count, list, many, ms, span } from '../format.ts';
import { fleet, hello, lanes, now, stops } from '../state/model.ts';
import { isAway, present, serving, storeTotal, total } from './sums.ts';
import { passed } from './words.ts';

const RECENT_MS = 75_000;

export interface Headline {
  /** Changes when something else is the news. */
  readonly kind: string;
  readonly title: string;
  readonly more: string;
}

const waitingText = (waiting: number | undefined): string =>
  waiting === undefined ? '' : ` ${waiting === 1 ? '1 call waits' : `${count(waiting)} calls wait`}`;

const upTo = (value: number | undefined, name: string): string =>
  value === undefined ? '' : ` up to ${ms(value)} (${name})`;

function storeAway(): Headline {
  const since = fleet.value?.store.since;
  const waiting = total('waiting');
  const forTime = since === undefined ? 'does not answer' : `has not answered for ${span(now.value - since)}`;
  return {
    kind: `away ${since}`,
    title: `The store ${forTime}.${waiting === undefined ? '' : `${waitingText(waiting)} for it.`}`,
    more: `Calls on sessions wait${upTo(hello.value?.waitMs, 'waitMs')}; requests of 2026-07-28 are served. No session is lost.`,
  };
}

function silent({ id, name, leaseMs }: FleetInstance): Headline {
  const left = leaseMs === undefined ? '' : `Its lease ends in at most ${ms(Math.max(leaseMs, 0))}. `;
  return {
    kind: `silent ${id}`,
    title: `${name} does not answer.${waitingText(total('waiting'))}${total('waiting') === undefined ? '' : ' for its lease to end.'}`,
    more: `${left}Then other instances take its sessions over.`,
  };
}

function draining({ id, name, sessions }: FleetInstance): Headline {
  const there =
    sessions === undefined ? '' : `: ${many(sessions, 'session')} ${sessions === 1 ? 'is' : 'are'} still there`;
  const time = hello.value?.drainMs;
  return {
    kind: `draining ${id}`,
    title: `${name} is draining${there}.`,
    more: `It accepts no new connection. Running calls have ${time === undefined ? 'time to finish' : span(time)}, and its sessions go to the store.`,
  };
}

/** What calls noticed of an interruption. */
function outcome({ waited, longestMs, failed = 0 }: StoppedInstance): string {
  const parts = [
    waited > 0 &&
      (longestMs < 0.5
        ? `${many(waited, 'call')} went on without a wait`
        : `${many(waited, 'call')} waited and went on, the longest ${ms(longestMs)}`),
    failed > 0 && `${many(failed, 'call')} failed`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? 'No call waited.' : `${parts.join('; ')}.`;
}

const lostText = ({ lost }: StoppedInstance): string =>
  lost === 0
    ? ''
    : ` ${many(lost, 'call')} may have run, and ${lost === 1 ? 'its client knows' : 'their clients know'}.`;

function stopped(stop: StoppedInstance): Headline {
  if (stop.kind === 'store') {
    const away = stop.overAt === undefined ? '' : ` for ${ms(stop.overAt - stop.at)}`;
    return {
      kind: `stop ${stop.id}`,
      title: `The store was away${away}. ${outcome(stop)}`,
      more: `No session was lost.${lostText(stop)}`,
    };
  }
  const { sessions, moved, name } = stop;
  const others = list(serving().flatMap((one) => (one.id === stop.instance ? [] : one.name)));
  const rest = sessions === undefined || moved === undefined ? undefined : Math.max(0, sessions - moved);
  const continued =
    sessions === undefined || moved === undefined
      ? sessions === undefined || sessions === 0
        ? 'Its sessions continue with their next request.'
        : `${sessions === 1 ? 'Its session continues with its' : `Its ${count(sessions)} sessions continue with their`} next request.`
      : sessions === 0
        ? 'It had no session.'
        : moved >= sessions
          ? `${sessions === 1 ? 'Its session continues' : `All of its ${count(sessions)} sessions continue`} on ${others || 'other instances'}.`
          : `${count(Math.min(moved, sessions))} of its ${many(sessions, 'session')} already continue on ${others || 'no instance'}.`;
  const later =
    rest === undefined || sessions === 0
      ? ''
      : rest === 0
        ? ''
        : ` The other ${count(rest)} ${rest === 1 ? 'is in the store and continues with its' : 'are in the store and continue with their'} next request.`;
  return {
    kind: `stop ${stop.id}`,
    title: `${name ?? 'An instance'} ${passed(stop)} ${span(now.value - stop.at)} ago. ${outcome(stop)}`,
    more: continued + later + lostText(stop),
  };
}

function calm(): Headline {
  const number = serving().length;
  const live = total('sessions');
  const waiting = total('waiting');
  const sessions = live === undefined ? '' : ` ${many(live + (storeTotal() ?? 0), 'session')}`;
  const waits = waiting === undefined ? '' : waiting === 0 ? ' Nothing waits.' : `${waitingText(waiting)}.`;
  const lost = stops.value.reduce((sum, stop) => sum + stop.lost, 0);
  const last = stops.value[0];
  const first =
    lost === 0
      ? 'No call was lost in the last hour.'
      : `${many(lost, 'call')} may have run twice or not at all in the last hour.`;
  const past =
    last === undefined
      ? 'Nothing was interrupted.'
      : `The last interruption, ${span(now.value - last.at)} ago: ${last.kind === 'store' ? 'the store was away' : `${last.name ?? 'an instance'} ${passed(last)}`}. ${outcome(last)}`;
  return {
    kind: 'calm',
    title:
      number === 0
        ? 'No instance serves.'
        : `${many(number, 'instance')} ${number === 1 ? 'serves' : 'serve'}${sessions}.${waits}`,
    more: `${first} ${past}`,
  };
}

export function headline(): Headline {
  if (isAway()) return storeAway();
  const bad = present().find(({ state }) => state === 'silent');
  if (bad !== undefined) return silent(bad);
  const leaving = present().find(({ state }) => state === 'draining');
  if (leaving !== undefined) return draining(leaving);
  const stop = stops.value.find(({ at }) => now.value - at < RECENT_MS);
  if (stop !== undefined) return stopped(stop);
  // An instance whose end has no `stop`: no other instance saw calls of it.
  const gone = lanes.value.find(
    ({ instance, goneAt }) => instance.state === 'gone' && now.value - (goneAt ?? 0) < RECENT_MS,
  );
  if (gone !== undefined && lanes.value.length === 1) return { kind: 'none', title: 'No instance serves.', more: '' };
  return calm();
}
