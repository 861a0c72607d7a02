/** What a frame shows: a copy of the present, so that the picture can stop while the processes run. */
import { headline, type FleetFacts } from './headline.ts';
import { explanation } from './explanation.ts';
import type { LogEntry } from './happenings.ts';
import type { DemoInstance } from './instance-process.ts';
import type { ScriptedClient, Sign } from './scripted-client.ts';
import { age, duration } from './sentences.ts';
import { NAMES } from './instance-names.ts';
import { AWAY_MS, type Stage } from './stage.ts';
import type { Style } from './styled-text.ts';

export interface InstanceRow {
  readonly name: string;
  readonly pid: string;
  readonly rate: string;
  readonly lease: string;
  readonly state: string;
  readonly style: Style;
  readonly live: readonly { readonly client: string; readonly moved: boolean }[];
}

export interface CounterRow {
  readonly number: number;
  readonly signs: readonly Sign[];
  readonly place: string;
  readonly placeStyle: Style;
  readonly note: string;
  readonly noteStyle: Style;
}

export interface ClientRow {
  readonly name: string;
  readonly version: string;
  readonly ours: CounterRow;
  readonly theirs: CounterRow;
}

export interface Facts {
  readonly ms: number;
  /** The address of the dashboard; `undefined`: there is none. */
  readonly dashboard: string | undefined;
  readonly headline: readonly [string, string];
  readonly explanation: string;
  readonly instances: readonly InstanceRow[];
  readonly store: { readonly ms: string; readonly state: string; readonly style: Style; readonly holds: string };
  readonly clients: readonly ClientRow[];
  readonly log: readonly LogEntry[];
}

/** So long a row shows how long its last call waited. */
const NOTE_MS = 10_000;
const LEASE_MS = 3_000;

/** `refusal`: why the last key did nothing. `dashboard`: its address. */
export function factsOf(stage: Stage, dashboard: string, refusal: string | undefined): Facts {
  const fleet = fleetOf(stage);
  const [first, second] = headline(fleet);
  return {
    ms: stage.happenings.ms,
    dashboard,
    headline: refusal === undefined ? [first, second] : [refusal, first],
    explanation: explanation(stage),
    instances: stage.ours.instances.map((instance) => instanceRow(stage, instance)),
    store: storeOf(stage),
    clients: stage.ours.clients.map((client, n) => ({
      name: client.name,
      version: client.version,
      ours: ourRow(stage, client),
      theirs: theirRow(stage, stage.theirs.clients[n] as ScriptedClient),
    })),
    log: [...stage.happenings.log],
  };
}

function fleetOf({ ours, happenings, awayMs }: Stage): FleetFacts {
  const { last } = happenings;
  const now = performance.now();
  const continued = last?.clients.filter((client) => last.continued.has(client)) ?? [];
  const on = new Set(continued.map((client) => last?.continued.get(client) ?? ''));
  return {
    instances: ours.instances.map(({ name, state }) => ({ name, serves: state === 'serving' })),
    sessions: happenings.places.size,
    waiting: ours.clients.filter(({ waitsMs }) => waitsMs !== undefined).length,
    backInMs: awayMs === undefined ? undefined : Math.max(0, AWAY_MS - awayMs),
    last: last && {
      cause: last.cause,
      instance: last.instance,
      agoMs: now - last.at,
      overMs: last.until === undefined ? undefined : now - last.until,
      sessions: last.clients.length,
      continued: continued.length,
      continueOn: NAMES.filter((name) => on.has(name)),
      waits: last.waits,
      lost: last.lost,
    },
  };
}

function instanceRow(stage: Stage, instance: DemoInstance): InstanceRow {
  const { name, pid, state, since } = instance;
  const serves = state === 'serving';
  const renewedAgo = stage.report(name)?.renewedAgo;
  const left = renewedAgo === undefined ? undefined : Math.max(0, LEASE_MS - renewedAgo);
  const lasted = age(performance.now() - since);
  const states: Record<DemoInstance['state'], readonly [string, Style]> = {
    starting: ['● starts', 'wait'],
    serving: ['● serving', 'plain'],
    frozen: [`‖ frozen ${lasted} ago`, 'wait'],
    draining: ['● drains', 'wait'],
    drained: [`× drained ${lasted} ago`, 'bad'],
    killed: [`× killed ${lasted} ago`, 'bad'],
    ended: [`× ended ${lasted} ago`, 'bad'],
  };
  const [text, style] = states[state];
  const live = [...stage.happenings.places].filter(([, place]) => place.instance === name);
  return {
    name,
    pid: pid === undefined ? '–' : `${pid}`,
    rate: pid === undefined ? '–' : stage.ours.front.rate(name).toFixed(1),
    lease: left === undefined || !serves ? '–' : `${(left / 1_000).toFixed(1)} s`,
    state: text,
    style,
    live: live.map(([client, { moved }]) => ({ client, moved })),
  };
}

function storeOf(stage: Stage): Facts['store'] {
  if (stage.awayMs !== undefined) {
    return { ms: '–', state: '× does not answer', style: 'bad', holds: 'its file is locked for 5 s' };
  }
  const isAsked = stage.ours.instances.some(({ state }) => state === 'serving');
  const latencies = NAMES.flatMap((name) => stage.report(name)?.storeMs ?? []);
  const ms = latencies.toSorted((a, b) => a - b)[latencies.length >> 1];
  const { places } = stage.happenings;
  const alone = [...places].flatMap(([client, { instance }]) => (instance === undefined ? [client] : []));
  return {
    ms: ms === undefined ? '–' : `${ms.toFixed(1)} ms`,
    state: isAsked ? '● answers' : '– is not asked',
    style: 'plain',
    holds: alone.length === 0 ? 'keeps all four' : `${alone.join(', ')}: for the next request`,
  };
}

function ourRow({ happenings }: Stage, client: ScriptedClient): CounterRow {
  const { number, signs, waitsMs, lastWait, lost, ended } = client;
  const row = { number, signs };
  if (ended) return { ...row, place: `404 at ${number}`, placeStyle: 'bad', note: '', noteStyle: 'plain' };
  if (waitsMs !== undefined) {
    return { ...row, place: `waits ${duration(waitsMs)}`, placeStyle: 'wait', note: '', noteStyle: 'plain' };
  }
  const place = client.era === '2026' ? undefined : happenings.places.get(client.name);
  const isRecent = lastWait !== undefined && performance.now() - lastWait.at < NOTE_MS;
  return {
    ...row,
    place: client.era === '2026' ? 'any' : (place?.instance ?? 'in the store'),
    placeStyle: place?.moved === true ? 'moved' : 'plain',
    note: lost > 0 ? `${lost} lost` : isRecent ? duration(lastWait.ms) : '',
    noteStyle: lost > 0 ? 'bad' : 'wait',
  };
}

function theirRow({ theirs }: Stage, client: ScriptedClient): CounterRow {
  const { number, signs, waitsMs, lost, ended, sessionId } = client;
  const row = { number, signs, note: '', noteStyle: 'plain' } as const;
  if (ended) return { ...row, place: `404 at ${number}`, placeStyle: 'bad' };
  if (lost > 0) return { ...row, place: `${lost} lost`, placeStyle: 'bad' };
  if (waitsMs !== undefined) return { ...row, place: `waits ${duration(waitsMs)}`, placeStyle: 'wait' };
  const home = sessionId === undefined ? undefined : theirs.front.homeOf(sessionId);
  return { ...row, place: home ?? 'any', placeStyle: 'plain' };
}
