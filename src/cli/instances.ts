/** `sojourn instances ls | drain`: the instances of a deployment. */
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import type { InstanceLease } from '../stores/store.ts';
import { Failure } from './failure.ts';
import { pagesOf } from '../base/pages.ts';
import { GivenOrders, type Operator } from './given-orders.ts';
import { instanceHead, instanceLine, instanceRow, instanceText } from './session-printout.ts';

const PAGE = 100;

interface InstancesRequest extends Operator {
  /** For `drain`: the id of an instance, of which the beginning is enough. */
  readonly id: string;
  readonly json: boolean;
}

type Out = (text: string) => void;

/** How many sessions each instance has live. */
async function liveSessions(store: EndpointStore): Promise<ReadonlyMap<string, number>> {
  const sessions = new Map<string, number>();
  for await (const { records } of pagesOf((cursor) => store.sessions.list(PAGE, cursor)))
    for (const { owner } of records) if (owner !== null) sessions.set(owner, (sessions.get(owner) ?? 0) + 1);
  return sessions;
}

/** Ends at the first: it is asked again and again while an instance drains. */
async function hasLiveSession(store: EndpointStore, instance: string): Promise<boolean> {
  for await (const { records } of pagesOf((cursor) => store.sessions.list(PAGE, cursor)))
    if (records.some(({ owner }) => owner === instance)) return true;
  return false;
}

export async function listInstances(store: EndpointStore, { json }: InstancesRequest, out: Out): Promise<void> {
  const leases = await store.instances.list();
  const sessions = await liveSessions(store);
  if (!json) out(instanceHead());
  for (const lease of leases) out((json ? instanceLine : instanceRow)(lease, sessions.get(lease.id) ?? 0));
}

export async function drainInstance(store: EndpointStore, request: InstancesRequest, out: Out): Promise<void> {
  const lease = await leaseNamed(store, request.id);
  const { id } = lease;
  const orders = new GivenOrders(store, request);
  if (lease.state !== 'draining') await orders.send(lease, { run: 'drain' });
  const isServed = lease.process?.served === true;
  const drained = await orders.effect(async () => {
    const now = await store.instances.read(id);
    if (now === undefined) return 'left';
    if (isServed || now.state !== 'draining') return undefined;
    return (await hasLiveSession(store, id)) ? undefined : 'drained';
  });
  if (drained === undefined) {
    const isDraining = (await store.instances.read(id))?.state === 'draining';
    if (!isDraining) throw await orders.noEffect(lease, 'begin to drain');
    throw new Failure(`instance ${id} drains, and has not finished within ${request.waitMs} ms: calls still run`);
  }
  const livesOn = drained === 'drained';
  if (request.json) out(`${JSON.stringify({ id, drained: true, livesOn })}\n`);
  else out(`${id} ${livesOn ? livesOnText(lease) : 'has drained, and its process ends'}\n`);
}

function livesOnText({ process }: InstanceLease): string {
  const where = process === undefined ? '' : ` (${process.host} pid ${process.pid})`;
  return (
    `drains, and has handed its sessions over. Its process${where} lives on, because it does not run under ` +
    'sojourn serve: once its calls have ended it answers 503, until it closes the endpoint or ends'
  );
}

async function leaseNamed(store: EndpointStore, given: string): Promise<InstanceLease> {
  const leases = await store.instances.list();
  const found = leases.filter(({ id }) => id.startsWith(given));
  const lease = found.find(({ id }) => id === given) ?? found[0];
  if (found.length > 1 && lease?.id !== given)
    throw new Failure(
      `${found.length} instances have an id that begins with ${given}: ${found.map(({ id }) => id).join(', ')}`,
    );
  if (lease === undefined || given === '')
    throw new Failure(
      leases.length === 0
        ? 'no instance serves with this store and name; set --name to the name of its endpoint'
        : `there is no instance ${JSON.stringify(given)}. There are: ${leases.map(instanceText).join('; ')}`,
    );
  // Its stamp says that the order is new.
  return (await store.instances.read(lease.id)) ?? lease;
}
