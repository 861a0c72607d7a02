/**
 * The headline: two sentences that are true now. The terminal of the demo writes it, and a page about the same fleet
 * can: it needs these facts and nothing of the demo's.
 */
import type { Cause } from './happenings.ts';
import { age, duration, listed, times } from './sentences.ts';

export interface FleetFacts {
  readonly instances: readonly { readonly name: string; readonly serves: boolean }[];
  readonly sessions: number;
  /** Calls that wait now. */
  readonly waiting: number;
  readonly last:
    | {
        readonly cause: Cause;
        readonly instance: string | undefined;
        readonly agoMs: number;
        /** Since it is over; `undefined`: it lasts. */
        readonly overMs: number | undefined;
        /** How many sessions were live there. */
        readonly sessions: number;
        /** The instances where they continue. */
        readonly continueOn: readonly string[];
        /** How many of them do. */
        readonly continued: number;
        /** Calls that waited and were answered, in ms. */
        readonly waits: readonly number[];
        readonly lost: number;
      }
    | undefined;
  /** ms until the store is back; `undefined`: it answers. */
  readonly backInMs: number | undefined;
}

type Last = NonNullable<FleetFacts['last']>;

/** An interruption that is over for so long is no news. */
const NEWS_MS = 10_000;
/** Calls that an interruption delays may still come. */
const SOON_MS = 1_000;

export function headline(facts: FleetFacts): readonly [string, string] {
  const { last, waiting } = facts;
  const serving = facts.instances.filter(({ serves }) => serves).length;
  if (serving === 0)
    return [`No instance serves. ${calls(waiting)}.`, 'r starts the selected one. Every call waits until then.'];
  if (last === undefined || (last.overMs !== undefined && last.overMs > NEWS_MS)) {
    const quiet = waiting === 0 ? 'Nothing waits' : calls(waiting);
    return [
      `${serving} ${serving === 1 ? 'instance serves' : 'instances serve'} ${times(facts.sessions, 'session')}. ${quiet}.`,
      'Each client calls a tool four times a second. Choose an instance and press k.',
    ];
  }
  if (last.cause === 'store') return ofStore(last, facts);
  return [`${whatHappened(last)} ${outcome(last, waiting)}`, whereSessions(last)];
}

const calls = (count: number): string =>
  count === 0 ? 'No call waits' : count === 1 ? '1 call waits' : `${count} calls wait`;

const WHAT: Readonly<Record<Exclude<Cause, 'store'>, string>> = {
  killed: 'was killed',
  frozen: 'was frozen',
  drained: 'was told to drain',
  ended: 'ended by itself',
};

function whatHappened({ cause, instance, agoMs, overMs }: Last): string {
  if (cause === 'store') return '';
  if (overMs === undefined) return `${instance} ${WHAT[cause]} ${age(agoMs)} ago.`;
  return `${instance} has served again for ${age(overMs)}.`;
}

function outcome({ waits, lost, agoMs }: Last, waiting: number): string {
  const failed = lost === 0 ? '' : ` ${times(lost, 'call')} failed.`;
  if (waiting > 0) return `${calls(waiting)} for another instance.${failed}`;
  if (waits.length === 0)
    return agoMs < SOON_MS ? `No call waits yet.${failed}` : `No call waited because of it.${failed}`;
  const longest = duration(Math.max(...waits));
  const text =
    waits.length === 1
      ? `1 call waited and went on: it took ${longest}.`
      : `${waits.length} calls waited and went on: the longest took ${longest}.`;
  return text + failed;
}

function whereSessions({ cause, instance, sessions, continued, continueOn, overMs }: Last): string {
  const its = sessions === 1 ? 'Its session' : `Its ${sessions} sessions`;
  const hint =
    overMs !== undefined ? '' : cause === 'frozen' ? ` f lets ${instance} run again.` : ` r starts ${instance} again.`;
  if (sessions === 0) return `No session was live there.${hint}`;
  if (continued >= sessions) {
    return `${its} ${sessions === 1 ? 'continues' : 'continue'} on ${listed(continueOn)}.${hint}`;
  }
  if (cause === 'frozen') {
    return `${its} ${sessions === 1 ? 'waits' : 'wait'} until its lease ends, up to 3 s: it may only be busy.`;
  }
  return sessions === 1
    ? `${its} is in the store. Its next request takes it over.`
    : `${its} are in the store. The next request of each takes it over.`;
}

function ofStore(last: Last, { waiting, backInMs }: FleetFacts): readonly [string, string] {
  const { waits, lost, agoMs, overMs } = last;
  const failed = lost === 0 ? 'none failed' : `${lost} failed`;
  if (overMs === undefined) {
    return [
      `The store has not answered for ${(agoMs / 1_000).toFixed(1)} s. ${calls(waiting)}, ${failed}.`,
      `Calls on sessions wait up to 15 s. It is back in ${((backInMs ?? 0) / 1_000).toFixed(1)} s.`,
    ];
  }
  const longest = waits.length === 0 ? '' : `, the longest took ${duration(Math.max(...waits))}`;
  return [
    `The store has answered again for ${age(overMs)}. ${waits.length === 1 ? '1 call' : `${waits.length} calls`} waited${longest}; ${failed}.`,
    waiting === 0 ? 'Each instance has its lease again, and every session continues.' : `${calls(waiting)}.`,
  ];
}
