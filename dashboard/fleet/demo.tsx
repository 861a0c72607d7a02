/** The buttons of `sojourn demo`. Its front answers them, so they work while no instance does. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { DemoDeed, DemoInstanceState, DemoState } from '../../src/dashboard/wire-pages.ts';
import { act, ApiError, get } from '../net/api.ts';
import { hello } from '../state/model.ts';
import { confirm } from '../ui/actions.tsx';
import { Will, WillLine } from '../ui/dialog.tsx';
import { toast } from '../ui/toast.tsx';

const EVERY_MS = 500;

const state = signal<DemoState | undefined>(undefined);

async function load(): Promise<void> {
  try {
    state.value = await get<DemoState>('demo');
  } catch {
    // The demo has ended: the banner says that the connection is lost.
  }
}

/** What can be done in each state, and how the button is called. */
const DEEDS: Readonly<Record<DemoInstanceState, readonly (readonly [DemoDeed, string])[]>> = {
  starting: [],
  serving: [
    ['kill', 'kill -9'],
    ['freeze', 'Freeze'],
    ['drain', 'Drain'],
  ],
  frozen: [
    ['kill', 'kill -9'],
    ['unfreeze', 'Unfreeze'],
  ],
  draining: [['kill', 'kill -9']],
  drained: [['restart', 'Start again']],
  killed: [['restart', 'Start again']],
  ended: [['restart', 'Start again']],
};

const STATES: Readonly<Record<DemoInstanceState, string>> = {
  starting: 'starts',
  serving: 'serves',
  frozen: 'is frozen',
  draining: 'drains',
  drained: 'has drained',
  killed: 'is killed',
  ended: 'has ended',
};

/** The order is carried out at once, as that of a key. A tab without the token asks for it. */
function press(name: string, deed: DemoDeed, label: string): void {
  const path = `demo/${name}/${deed}`;
  const ask = () =>
    confirm({
      title: `${label}: ${name}?`,
      yes: label,
      body: () => (
        <Will>
          <WillLine icon="lock">
            The address that the terminal of the demo shows opens this page with its token.
          </WillLine>
        </Will>
      ),
      path,
      done: () => void load(),
    });
  if (hello.peek()?.mayAct !== true) return ask();
  act(path).then(
    () => load(),
    (error: unknown) => {
      if (error instanceof ApiError && error.status === 401) ask();
      else toast(error instanceof Error ? error.message : String(error));
    },
  );
}

const Instance = ({ name, of, canFreeze }: { name: string; of: DemoInstanceState; canFreeze: boolean }) => (
  <div class="row" role="group" aria-label={`Instance ${name}`}>
    <span>
      <b>{name}</b> <span class="sub">{STATES[of]}</span>
    </span>
    {DEEDS[of].map(
      ([deed, label]) =>
        (deed !== 'freeze' || canFreeze) && (
          <button key={deed} class="btn" type="button" onClick={() => press(name, deed, label)}>
            {label}
            <span class="sr"> {name}</span>
          </button>
        ),
    )}
  </div>
);

export function DemoBar() {
  const isDemo = hello.value?.demo === true;
  useEffect(() => {
    if (!isDemo) return;
    void load();
    const timer = setInterval(() => void load(), EVERY_MS);
    return () => clearInterval(timer);
  }, [isDemo]);
  const { value } = state;
  if (!isDemo || value === undefined) return null;
  return (
    <section class="demo" aria-labelledby="demo-title">
      <h2 id="demo-title">Break it</h2>
      {value.instances.map(({ name, state: of }) => (
        <Instance key={name} name={name} of={of} canFreeze={value.canFreeze} />
      ))}
      <button
        class="btn"
        type="button"
        aria-disabled={value.storeAway}
        onClick={() => value.storeAway || press('store', 'away', 'Store away for 5 s')}
      >
        {value.storeAway ? 'The store is away' : 'Store away for 5 s'}
      </button>
    </section>
  );
}
