/** `sojourn instances ls | show | drain`: the instances of a deployment. */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { InstanceLease } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind } from './commands.ts';
import { sessionsByOwner } from './opened-store.ts';
import { order } from './orders.ts';
import { instanceText, timestamp } from './printing.ts';

export const instances: RecordKind<ReturnType<typeof shown>> = {
  columns: ['INSTANCE', 'STATE', 'VERSION', 'HOST', 'PID', 'STARTED', 'RUNTIME', 'SESSIONS'],
  widths: [16, 8, 8, 20, 7, 20, 16],

  cells({ id, state, version, host = '–', pid = '–', startedAt, runtime = '–', sessions }) {
    const started = startedAt === undefined ? '–' : timestamp(startedAt);
    return [id, state, version, host, String(pid), started, runtime, String(sessions)];
  },

  async *ls(store) {
    const live = await sessionsByOwner(store);
    for (const lease of await store.instances.list()) yield shown(lease, live);
  },

  show: async (store, { names: [given] }) =>
    shown(await leaseNamed(store, given), await sessionsByOwner(store)),

  async act(store, request) {
    const lease = await leaseNamed(store, request.names[0]);
    const { id, process } = lease;
    const drained = await order(store, request, lease, { run: 'drain' }, async () => {
      const now = await store.instances.read(id);
      if (now === undefined) return 'has drained, and its process ends';
      if (process?.served === true || now.state !== 'draining') return undefined;
      return (await sessionsByOwner(store)).has(id) ? undefined : livesOnText(lease);
    });
    return `${id} ${drained}`;
  },
};

const shown = (
  { id, state, version, server, process }: InstanceLease,
  live: ReadonlyMap<string | null, number>,
) => ({
  id,
  state,
  version,
  ...(server !== undefined && { server }),
  ...process,
  sessions: live.get(id) ?? 0,
});

function livesOnText({ process }: InstanceLease): string {
  const where = process === undefined ? '' : ` (${process.host} pid ${process.pid})`;
  return (
    `drains, and has handed its sessions over. Its process${where} lives on, because it does not run under ` +
    'sojourn serve: once its calls have ended it answers 503, until it closes the endpoint or ends'
  );
}

async function leaseNamed(store: EndpointStore, given = ''): Promise<InstanceLease> {
  const leases = await store.instances.list();
  const [lease, ...others] = leases.filter(({ id }) => given !== '' && id.startsWith(given));
  if (lease !== undefined && others.length === 0) return lease;
  throw new Failure(
    leases.length === 0
      ? 'no instance serves with this store and deployment; set --deployment to that of its endpoint'
      : `there is no one instance ${JSON.stringify(given)}. There are: ${leases.map(instanceText).join('; ')}`,
  );
}
