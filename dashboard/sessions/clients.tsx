/** Clients of 2026-07-28 have no session: their requests, by user and client. */
import { useEffect } from 'preact/hooks';
import { signal } from '@preact/signals';
import type { SessionlessClients } from '../../src/dashboard/wire-pages.ts';
import { count, NONE } from '../format.ts';
import { get } from '../net/api.ts';
import { usePolled } from '../ui/polled.ts';
import { Icon } from '../ui/icon.tsx';
import { When } from '../ui/when.tsx';
import { Eras } from './eras.tsx';

const clients = signal<SessionlessClients | undefined>(undefined);
const failure = signal<string | undefined>(undefined);

async function load(): Promise<void> {
  try {
    clients.value = await get<SessionlessClients>('clients');
    failure.value = undefined;
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

const COLUMNS = [
  ['Client', ''],
  ['User', ''],
  ['Last tool', 'opt'],
  ['Per minute', 'num'],
  ['Active', 'num'],
] as const;

function Table({ clients: rows }: SessionlessClients) {
  return (
    <table class="plain">
      <thead>
        <tr>
          {COLUMNS.map(([label, name]) => (
            <th key={label} class={name} scope="col">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ clientInfo: { name, version }, userName, tool, perMinute, activeAt }) => (
          <tr key={`${userName ?? ''} ${name} ${version}`}>
            <td>
              {name} <span class="dim">{version}</span>
            </td>
            <td>{userName ?? NONE}</td>
            <td class="opt">{tool === undefined ? NONE : <code>{tool}</code>}</td>
            <td class="num">{count(perMinute)}</td>
            <td class="num">
              <When at={activeAt} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function ClientsView() {
  usePolled(load);
  useEffect(() => () => void (failure.value = undefined), []);
  const { value } = clients;
  return (
    <div>
      <div class="listbar pad">
        <h1 class="sr">Clients without a session</h1>
        <Eras on="clients" />
      </div>
      <p class="scan pad">
        Revision 2026-07-28 has no sessions: each request is served where it arrives. Requests of the last 15 minutes,
        by user and client.
      </p>
      {failure.value !== undefined && (
        <p class="pad c-bad">
          <Icon name="gone" /> {failure.value}
        </p>
      )}
      <div class="pad">
        {value === undefined && failure.value === undefined && <p class="none">Asks the instances…</p>}
        {value !== undefined && value.clients.length === 0 && (
          <p class="none">No client of revision 2026-07-28 in the last 15 minutes.</p>
        )}
        {value !== undefined && value.clients.length > 0 && <Table {...value} />}
      </div>
    </div>
  );
}
