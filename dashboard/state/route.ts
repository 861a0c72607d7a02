/** What the page shows, from its address: `#/sessions?q=owner:web-2`, `#/sessions/<hash>`. */
import { computed, signal } from '@preact/signals';

export type View = 'fleet' | 'sessions' | 'refusals' | 'tasks';

export interface Route {
  readonly view: View;
  /** The hash of a session or a task. */
  readonly id: string | undefined;
  readonly query: URLSearchParams;
}

const VIEWS: ReadonlySet<string> = new Set(['fleet', 'sessions', 'refusals', 'tasks'] satisfies View[]);

const address = signal(location.hash);

export const route = computed<Route>(() => {
  const [path = '', search = ''] = address.value.slice(2).split('?');
  const [view = '', id] = path.split('/');
  return {
    view: VIEWS.has(view) ? (view as View) : 'fleet',
    id: id === undefined || id === '' ? undefined : id,
    query: new URLSearchParams(search),
  };
});

/** The id of the element that gets the focus after the next change of view. */
let focusNext: string | undefined;

export function go(hash: string, focus?: string): void {
  focusNext = focus;
  if (location.hash === hash) address.value = hash;
  else location.hash = hash;
}

/** The address follows what its view shows already: no new entry in the history, and no change of `route`. */
export function replaceRoute(hash: string): void {
  history.replaceState(null, '', hash);
}

export function takeFocus(): string | undefined {
  const id = focusNext;
  focusNext = undefined;
  return id;
}

export function watchAddress(): void {
  address.value = location.hash;
  addEventListener('hashchange', () => (address.value = location.hash));
}
