/** Switches between sessions and clients without one. */
import { storeTotal, total } from '../fleet/sums.ts';
import { count } from '../format.ts';
import { fleet } from '../state/model.ts';
import { go } from '../state/route.ts';
import { Segments } from '../ui/parts.tsx';
import { scan } from './scan.ts';

export function Eras({ on }: { on: 'sessions' | 'clients' }) {
  const live = total('sessions');
  const number = scan.value?.rows.length ?? (live === undefined ? undefined : live + (storeTotal() ?? 0));
  const clients = fleet.value?.clients;
  return (
    <Segments
      label="Era"
      on={on}
      items={[
        { key: 'sessions', label: `Sessions ${number === undefined ? '' : count(number)}`.trim() },
        { key: 'clients', label: `Without a session ${clients === undefined ? '' : count(clients)}`.trim() },
      ]}
      choose={(key) => go(key === 'clients' ? '#/sessions?era=2026' : '#/sessions')}
    />
  );
}
