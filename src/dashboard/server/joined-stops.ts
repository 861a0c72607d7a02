/** The parts that the instances know of an interruption, as one stop of the page. */
import type { StoppedInstance, StopCall } from '../wire.ts';
import type { StopPart } from './stops.ts';

/** Outages of the store that instances saw within this time are one. */
const SAME_MS = 30_000;
/** An outage is noticed, and is over, at another time than the leases. */
const LATE_MS = 3_000;
const MOST = 16;
const CALLS = 24;

/** `lived`: sessions that an instance had live when it was last heard. Oldest first. */
export function joinedStops(
  parts: readonly StopPart[],
  nameOf: (instance: string) => string | undefined,
  lived: (instance: string) => number | undefined,
): StoppedInstance[] {
  const groups: StopPart[][] = [];
  for (const part of asOutages(parts).toSorted((one, other) => one.at - other.at)) {
    const group = groups.find(([first]) => first !== undefined && isSame(first, part));
    if (group === undefined) groups.push([part]);
    else group.push(part);
  }
  return groups.map((group) => joined(group, nameOf, lived)).slice(-MOST);
}

/**
 * An instance whose lease lapsed while the store was away lives under another id. Others may have removed the lease:
 * what they saw is a part of the outage.
 */
function asOutages(parts: readonly StopPart[]): readonly StopPart[] {
  // A part that was never changed is what the page's own instance saw: that instance may be dead.
  const lapsed = new Set(
    parts.flatMap(({ end, change, instance }) => (end === 'lapsed' && change > 0 ? instance : [])),
  );
  const outages = parts.filter(({ kind }) => kind === 'store');
  return parts.map((part) => {
    const { instance, end: _, ...rest } = part;
    if (part.kind !== 'gone' || instance === undefined || !lapsed.has(instance)) return part;
    const of = outages.find(({ at, overAt = Infinity }) => part.at >= at - LATE_MS && part.at <= overAt + LATE_MS);
    return of === undefined ? part : { ...rest, kind: 'store', at: of.at, overAt: of.overAt ?? part.at };
  });
}

/** A drain ends with an instance that is gone: calls that came to it last are calls of its drain. */
const LEAVES = new Set<StopPart['kind']>(['drain', 'gone']);

function isSame(one: StopPart, other: StopPart): boolean {
  if (one.instance !== other.instance) return false;
  if (one.kind !== other.kind) return LEAVES.has(one.kind) && LEAVES.has(other.kind);
  return one.kind !== 'store' || Math.abs(one.at - other.at) < SAME_MS;
}

function joined(
  group: readonly StopPart[],
  nameOf: (instance: string) => string | undefined,
  lived: (instance: string) => number | undefined,
): StoppedInstance {
  const [{ instance, ...first }] = group as readonly [StopPart];
  const drain = group.find((part) => part.kind === 'drain');
  const { kind } = drain ?? first;
  const at = Math.min(...group.map((part) => part.at));
  const sum = (key: 'moved' | 'waited' | 'lost' | 'failed' | 'resumed'): number =>
    group.reduce((all, part) => all + part[key], 0);
  const ends = group.flatMap(({ end }) => end ?? []);
  const overs = group.flatMap(({ overAt }) => overAt ?? []);
  const sessions = group.find((part) => part.sessions !== undefined)?.sessions ?? (instance && lived(instance));
  const name = instance && nameOf(instance);
  const end = drain?.end ?? ends.find((each) => each === 'killed' || each === 'crashed') ?? ends[0];
  return {
    id: `${kind}.${instance ?? at}`,
    at,
    kind,
    ...(name !== undefined && { name }),
    ...(instance !== undefined && { instance }),
    ...(end !== undefined && { end }),
    ...((kind === 'drain' ? overs.length > 0 : overs.length === group.length) && { overAt: Math.max(...overs) }),
    ...(typeof sessions === 'number' && { sessions }),
    // A record that was released does not say whose it was.
    ...(kind !== 'drain' && { moved: sum('moved') }),
    waited: sum('waited'),
    longestMs: Math.max(...group.map(({ longestMs }) => longestMs)),
    lost: sum('lost'),
    failed: sum('failed'),
    resumed: sum('resumed'),
    // The page counts from the begin of the stop, and another instance may have seen it earlier.
    calls: sampled(group.flatMap((part) => part.calls.map((call) => later(call, part.at - at)))),
  };
}

const later = (call: StopCall, ms: number): StopCall =>
  ms === 0 ? call : { ...call, start: call.start + ms, cut: call.cut + ms };

/** The longest waits, those that ended badly, and an even sample of the others, in the order of their cut. */
function sampled(calls: readonly StopCall[]): readonly StopCall[] {
  const byCut = (all: readonly StopCall[]): StopCall[] => all.toSorted((one, other) => one.cut - other.cut);
  if (calls.length <= CALLS) return byCut(calls);
  const isBad = ({ outcome }: StopCall): boolean => outcome === 'lost' || outcome === 'failed';
  const bad = calls.filter(isBad).slice(0, CALLS / 3);
  const [longest = [], rest = []] = split(calls.filter((call) => !isBad(call)).toSorted((a, b) => b.wait - a.wait));
  const room = CALLS - bad.length - longest.length;
  const even = Array.from({ length: room }, (_, n) => rest[Math.floor((n * rest.length) / room)]);
  return byCut([...bad, ...longest, ...even.filter((call) => call !== undefined)]);
}

const split = (calls: readonly StopCall[]): StopCall[][] => [calls.slice(0, CALLS / 3), calls.slice(CALLS / 3)];
