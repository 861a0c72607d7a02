/** How this browser shows the page. Kept in `localStorage`; without it, for as long as the page is open. */
import { effect, signal } from '@preact/signals';

const KEY = 'sojourn-dashboard';

export type Theme = 'system' | 'dark' | 'light';

interface Kept {
  readonly theme?: Theme;
  readonly keys?: boolean;
  readonly exact?: boolean;
}

const kept = read();

export const theme = signal<Theme>(kept.theme ?? 'system');
/** Keys of one letter do something. */
export const letterKeys = signal(kept.keys ?? true);
/** Clocks instead of "9 s ago". */
export const exactTimes = signal(kept.exact ?? false);

export function applySettings(): void {
  effect(() => {
    const { dataset } = document.documentElement;
    if (theme.value === 'system') delete dataset['theme'];
    else dataset['theme'] = theme.value;
  });
  effect(() => {
    const value: Kept = { theme: theme.value, keys: letterKeys.value, exact: exactTimes.value };
    try {
      localStorage.setItem(KEY, JSON.stringify(value));
    } catch {
      // A browser that blocks storage.
    }
  });
}

function read(): Kept {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Kept;
  } catch {
    return {};
  }
}
