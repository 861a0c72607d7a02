/**
 * What every view needs: the fleet, which is asked for again and again, the connection, and what the address names.
 *
 *     opening ──answer──▶ live ⇄ lost          (it asks again; behind one address another instance may answer)
 *        ╰──401──▶ token ──given──▶ opening
 */
import { computed, signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import type { FleetPage, InstanceRow } from '../wire.ts';
import { ApiError, decoded, look, takeToken } from './api.ts';
import { clock, nameIn } from './format.ts';

/** Within two seconds of an event the view of the fleet shows it. */
const FLEET_MS = 800;
const EVERY_MS = 2_000;
const LOST_MS = 500;

export const VIEWS = ['instances', 'sessions', 'tasks', 'handles', 'tools', 'refusals'] as const;
export type View = (typeof VIEWS)[number];

interface Route {
  readonly view: View;
  readonly id: string | undefined;
  readonly query: string;
}

const address = signal(location.hash);

/** `#/sessions?q=ann`, `#/sessions/<ref>`. */
export const route = computed<Route>(() => {
  const [path = '', search = ''] = address.value.slice(2).split('?');
  const [view = '', id = ''] = path.split('/');
  return {
    view: VIEWS.find((one) => one === view) ?? 'instances',
    id: id === '' ? undefined : decoded(id),
    query: new URLSearchParams(search).get('q') ?? '',
  };
});

export const go = (hash: string): void => void (location.hash = hash);

export type PageConnection =
  | { readonly state: 'opening' | 'live' }
  /** `wrong`: the server refused the token that was given. */
  | { readonly state: 'token'; readonly wrong: boolean }
  | { readonly state: 'lost'; readonly since: number };

export const connection = signal<PageConnection>({ state: 'opening' });
export const fleet = signal<FleetPage | undefined>(undefined);
/**
 * The time of what is shown, by the clock of the server. It does not move while the connection is
 * lost.
 */
export const now = computed(() => fleet.value?.at ?? Date.now());

export const present = (): readonly InstanceRow[] =>
  fleet.value?.instances.filter(({ state }) => state !== 'left' && state !== 'killed') ?? [];

export const serving = (): readonly InstanceRow[] =>
  present().filter(({ state }) => state === 'serving');

export const nameOf = (id: string | undefined): string => nameIn(fleet.value?.instances ?? [], id);

/** Since when each instance counts, the first one first. */
export const countingOf = (rows: readonly InstanceRow[]) =>
  rows
    .flatMap(({ id, figures }) => (figures === undefined ? [] : { id, since: figures.since }))
    .toSorted((one, other) => one.since - other.since);

const HALF_HOUR_MS = 1_800_000;

/**
 * What span counts are of, that begin with a process: `in the last 30 to 60 minutes`, or since when which instance
 * counts.
 */
export function countedSince(rows: readonly InstanceRow[]): string {
  const counting = countingOf(rows);
  const young = counting
    .filter(({ since }) => now.value - since < HALF_HOUR_MS)
    .map(({ id, since }) => `since ${clock(since)}, when ${nameOf(id)} began to count`);
  if (young.length === 0) return 'in the last 30 to 60 minutes';
  if (counting.length === 1) return young[0] ?? '';
  const shown =
    young.length > 3 ? `${young.slice(0, 3).join('; ')}; and others later` : young.join('; ');
  return young.length === counting.length ? shown : `in the last 30 to 60 minutes; ${shown}`;
}

/** Where clients connect. An application that mounts the dashboard may have the endpoint beside it. */
export const endpointUrl = (): string =>
  fleet.value?.endpoint ?? new URL('../mcp', document.baseURI).href;

let timer: ReturnType<typeof setTimeout> | undefined;
let isAsking = false;

async function ask(): Promise<void> {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  const before = connection.value;
  try {
    fleet.value = await look<FleetPage>('fleet');
    connection.value = { state: 'live' };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401)
      connection.value = { state: 'token', wrong: before.state === 'token' };
    else if (before.state !== 'lost') connection.value = { state: 'lost', since: Date.now() };
  } finally {
    isAsking = false;
  }
  const { state } = connection.value;
  if (state === 'token' || document.hidden) return;
  timer = setTimeout(
    () => void ask(),
    state === 'lost' ? LOST_MS : route.value.view === 'instances' ? FLEET_MS : EVERY_MS,
  );
}

/** Asks at once: a token was given, or an action was done. */
export const refresh = (): void => void ask();

export function start(): void {
  address.value = location.hash;
  addEventListener('hashchange', () => {
    // The printed address was pasted into an open tab.
    const isToken = takeToken();
    address.value = location.hash;
    if (isToken) refresh();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && connection.value.state !== 'token') refresh();
  });
  refresh();
}

export interface Polled<T> {
  readonly value: T | 'unknown' | undefined;
  readonly failure: string | undefined;
  reload(): void;
}

/** One path of the API, again and again while the view is open and seen. */
export function usePolled<T>(path: string, everyMs = EVERY_MS, search = ''): Polled<T> {
  const [got, set] = useState<{ path: string; value: Polled<T>['value']; failure?: string }>({
    path,
    value: undefined,
  });
  const [turn, again] = useState(0);
  useEffect(() => {
    let next: ReturnType<typeof setTimeout> | undefined;
    let isOpen = true;
    const load = async (isFirst: boolean): Promise<void> => {
      if (isFirst || !document.hidden) {
        try {
          const value = await look<T>(path, search);
          if (isOpen) set({ path, value });
        } catch (error) {
          const isUnknown = error instanceof ApiError && error.status === 404;
          const failure = error instanceof Error ? error.message : String(error);
          if (isOpen && isUnknown) set({ path, value: 'unknown' });
          else if (isOpen)
            set((old) => ({ path, value: old.path === path ? old.value : undefined, failure }));
        }
      }
      if (isOpen) next = setTimeout(() => void load(false), everyMs);
    };
    void load(true);
    return () => {
      isOpen = false;
      clearTimeout(next);
    };
  }, [path, everyMs, search, turn]);
  // What an earlier path had is not shown under this one.
  const { value, failure } = got.path === path ? got : { value: undefined, failure: undefined };
  return { value, failure, reload: () => again((n) => n + 1) };
}
