/** Keys and display: what `?` shows. */
import type { Signal } from '@preact/signals';
import { exactTimes, letterKeys } from '../state/settings.ts';
import { showDialog } from '../ui/dialog.tsx';

const KEYS: readonly (readonly [string, string])[] = [
  ['g f', 'Fleet'],
  ['g s', 'Sessions'],
  ['g r', 'Refusals'],
  ['g t', 'Tasks'],
  ['/', 'Filter'],
  ['↑ ↓', 'Move in a list; also j, k'],
  ['Enter', 'Open'],
  ['Esc', 'Back, or close'],
  ['u', 'Scan the store again'],
  ['p', 'Pause, continue'],
  ['t', 'Theme'],
  ['?', 'This'],
];

const Choice = ({ label, value }: { label: string; value: Signal<boolean> }) => (
  <label class="row">
    <input type="checkbox" checked={value.value} onChange={(event) => (value.value = event.currentTarget.checked)} />
    {label}
  </label>
);

export function showHelp(): void {
  showDialog({
    title: 'Keys and display',
    no: 'Close',
    body: () => (
      <>
        <dl class="keys">
          {KEYS.map(([keys, words]) => (
            <div key={keys}>
              <dt>
                {keys.split(' ').map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
        <Choice label="Keys of one letter" value={letterKeys} />
        <Choice label="Exact times" value={exactTimes} />
      </>
    ),
  });
}
