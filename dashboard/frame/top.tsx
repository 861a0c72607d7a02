/** The bar at the top: views, the connection, pause, theme, help. */
import { Icon, type IconName } from '../ui/icon.tsx';
import { toast } from '../ui/toast.tsx';
import { connection, fleet, paused } from '../state/model.ts';
import { theme, type Theme } from '../state/settings.ts';
import { route, type View } from '../state/route.ts';
import { count } from '../format.ts';
import { storeTotal, total } from '../fleet/sums.ts';
import { showHelp } from './help.tsx';

const TABS: readonly { view: View; label: string; icon: IconName; number: () => string }[] = [
  { view: 'fleet', label: 'Fleet', icon: 'fleet', number: () => '' },
  { view: 'sessions', label: 'Sessions', icon: 'sessions', number: sessionsText },
  { view: 'refusals', label: 'Refusals', icon: 'refused', number: () => countIfKnown(fleet.value?.refused) },
  { view: 'tasks', label: 'Tasks', icon: 'task', number: () => countIfKnown(fleet.value?.tasks) },
];

const countIfKnown = (value: number | undefined): string => (value === undefined ? '' : count(value));

function sessionsText(): string {
  const live = total('sessions');
  return live === undefined ? '' : count(live + (storeTotal() ?? 0));
}

const NEXT: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' };

export function nextTheme(): void {
  theme.value = NEXT[theme.value];
  toast(`Theme: ${theme.value === 'system' ? 'as the system' : theme.value}`);
}

export const pause = (): void => void (paused.value = !paused.value);

const Tab = ({ view, label, icon, number }: (typeof TABS)[number]) => (
  <a href={`#/${view}`} aria-current={route.value.view === view ? 'page' : undefined}>
    <Icon name={icon} />
    {label}
    <span class="n">{number()}</span>
  </a>
);

function Connected() {
  const { state } = connection.value;
  const isOff = state === 'lost';
  const words = isOff ? 'not connected' : paused.value ? 'paused' : state === 'live' ? 'live' : 'connecting';
  const icon = isOff ? 'gone' : paused.value ? 'pause' : state === 'live' ? 'serving' : 'joining';
  return (
    <span class={isOff ? 'conn off' : 'conn'} id="conn">
      <Icon name={icon} />
      <span class={words === 'live' ? 'hide-n' : ''}>{words}</span>
    </span>
  );
}

export function Top() {
  const isLocked = connection.value.state === 'token';
  return (
    <header class="top">
      <a class="brand" href="#/fleet" aria-label="sojourn, fleet">
        <svg viewBox="0 0 22 16" aria-hidden="true" fill="none" stroke="currentcolor" stroke-width="2">
          <path d="M1 4h5c6 0 4 8 10 8h5" />
          <path d="m13.5 1.5 5 5m0-5-5 5" stroke-width="1.6" />
        </svg>
        <span class="hide-n">sojourn</span>
      </a>
      <nav class="tabs" aria-label="Views" hidden={isLocked}>
        {TABS.map((tab) => (
          <Tab key={tab.view} {...tab} />
        ))}
      </nav>
      <div class="end">
        {!isLocked && (
          <>
            <Connected />
            <button class="btn quiet icon" type="button" aria-pressed={paused.value} title="Pause (p)" onClick={pause}>
              <Icon name={paused.value ? 'play' : 'pause'} />
              <span class="sr">Pause</span>
            </button>
          </>
        )}
        <button class="btn quiet icon" type="button" title="Theme (t)" onClick={nextTheme}>
          <Icon name="draining" />
          <span class="sr">Theme</span>
        </button>
        <button class="btn quiet icon" type="button" title="Keys and display (?)" onClick={showHelp}>
          <kbd aria-hidden="true">?</kbd>
          <span class="sr">Keys and display</span>
        </button>
      </div>
    </header>
  );
}
