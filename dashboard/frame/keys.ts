/** Keys of the whole page. Lists, dialogs and fields have their own. */
import { go, route } from '../state/route.ts';
import { connection } from '../state/model.ts';
import { letterKeys } from '../state/settings.ts';
import { isDialogOpen } from '../ui/dialog.tsx';
import { showHelp } from './help.tsx';
import { nextTheme, pause } from './top.tsx';

const CHORD_MS = 900;
const VIEWS: Readonly<Record<string, string>> = { f: '#/fleet', s: '#/sessions', r: '#/refusals', t: '#/tasks' };
/** A second key follows: `g s`. */
let chordAt = -Infinity;

const focusOn = (selector: string) => () => document.querySelector<HTMLElement>(selector)?.focus();

const RUNS: Readonly<Record<string, () => void>> = {
  '/': focusOn('#filter'),
  j: focusOn('.vlist'),
  '?': showHelp,
  t: nextTheme,
  p: pause,
  u: () => document.querySelector<HTMLElement>('#rescan')?.click(),
};

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input:not([type=checkbox]), textarea, select');
}

function pressed(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isDialogOpen() || isTyping(event.target)) return;
  if (connection.value.state === 'token') return;
  if (event.key === 'Escape' && route.value.id !== undefined) return history.back();
  if (event.key === 'ArrowDown' && event.target === document.getElementById('main')) return focusOn('.vlist')();
  if (!letterKeys.value) return;
  const isSecond = performance.now() - chordAt < CHORD_MS;
  chordAt = event.key === 'g' ? performance.now() : -Infinity;
  const view = isSecond ? VIEWS[event.key] : undefined;
  if (view !== undefined) return go(view);
  const run = RUNS[event.key];
  if (run === undefined) return;
  event.preventDefault();
  run();
}

export const watchKeys = (): void => addEventListener('keydown', pressed);
