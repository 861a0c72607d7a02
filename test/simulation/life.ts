/** What a client does with its life: it comes, acts by its scenario, and in the end sees whether everything works. */
import type { CallOptions } from './client-call.ts';
import type { SimClient } from './client.ts';
import type { Random } from './random.ts';
import type { ACTIONS, Scenario } from './scenario.ts';
import type { World } from './world.ts';

/** What a client does last must wait until leases of the dead have run out, and streams have been found again. */
const SETTLE_MS = 3_000;
/** For calls from before; the checker judges a call that has not ended by then. */
const PATIENCE_MS = 12_000;

export async function life(
  world: World,
  scenario: Scenario,
  client: SimClient,
  random: Random,
  clients: readonly SimClient[],
): Promise<void> {
  const { scheduler } = world;
  let over = false;
  let listening: Promise<void> = Promise.resolve();
  const enter = async (): Promise<void> => {
    await client.open();
    listening = client.listen(() => over);
    if (random.chance(0.6)) void client.call('tools/list');
  };
  await enter();
  while (world.now < scenario.activeMs) {
    const [low, high] = scenario.thinkMs;
    await scheduler.sleep(random.between(low, high));
    if (client.gone) {
      if (random.chance(0.5)) await client.probe();
      else await enter();
      continue;
    }
    if (client.pending.size >= scenario.concurrency) await Promise.race(client.pending);
    await act(scenario, client, random, clients);
  }
  while (!world.healed) await scheduler.sleep(10);
  await scheduler.sleep(SETTLE_MS);
  await Promise.race([pastCalls(client), scheduler.sleep(PATIENCE_MS)]);
  if (client.gone) await enter();
  if (!client.gone) await last(world, client);
  over = true;
  client.getResponse?.close();
  await listening;
}

async function pastCalls(client: SimClient): Promise<void> {
  while (client.pending.size > 0) await Promise.all(client.pending);
}

interface Acting {
  readonly client: SimClient;
  readonly random: Random;
  readonly clients: readonly SimClient[];
  readonly ms: number;
  readonly patience: CallOptions;
}

/** What resolves with the action; a call does not, and is pending. */
const ACTS: Readonly<Record<keyof typeof ACTIONS, (acting: Acting) => Promise<void> | void>> = {
  effect: ({ client, patience }) => void client.call('effect', patience),
  slowEffect: ({ client, ms, patience }) => void client.call('effect', { ms, ...patience }),
  count: ({ client, random, ms, patience }) =>
    void client.call('count', { ms: random.chance(0.2) ? ms : 0, ...patience }),
  peek: ({ client, patience }) => void client.call('peek', patience),
  read: ({ client, patience }) => void client.call('read', patience),
  slowRead: ({ client, ms }) => void client.call('read', { ms }),
  ask: ({ client, patience }) => void client.call('ask', patience),
  slow: ({ client, ms }) => void client.call('slow', { ms }),
  slowOnce: ({ client, ms }) => void client.call('slowOnce', { ms }),
  push: ({ client }) => void client.call('push'),
  list: ({ client }) => void client.call('tools/list'),
  cancel: ({ client, random, ms }) =>
    void client.call(random.pick(['effect', 'slow', 'ask']), { ms, cancelAfter: random.between(1, ms) }),
  leave: ({ client, random, ms }) =>
    void client.call(random.pick(['effect', 'slow', 'slowOnce', 'ask']), { ms, leaveAfter: random.between(1, ms) }),
  leaveGet: ({ client }) => client.getResponse?.close(),
  trespass: async ({ client, random, clients }) => {
    const other = random.pick(clients);
    if (other !== client) await client.trespass(other);
  },
  delete: ({ client }) => client.delete(),
};

async function act(
  { actions }: Scenario,
  client: SimClient,
  random: Random,
  clients: readonly SimClient[],
): Promise<void> {
  const ms = random.between(5, 700);
  const patience = random.chance(0.3) ? { patience: random.between(200, 2_000) } : {};
  await ACTS[random.weighted(actions)]({ client, random, clients, ms, patience });
}

/** In calm weather everything works. */
async function last(world: World, client: SimClient): Promise<void> {
  const { ledger, scheduler } = world;
  const { story } = client;
  const failed = (what: string): void => {
    if (!ledger.lost.some(({ sessions }) => sessions.has(story?.id ?? '')))
      world.wrong(`${client.name}: ${what} in calm weather`);
  };
  for (const tool of ['count', 'peek', 'ask', 'effect']) {
    const { ending } = await client.call(tool);
    if (ending?.kind !== 'result') failed(`${tool} ended as ${JSON.stringify(ending)}`);
  }
  for (let n = 0; client.getResponse === undefined && n < 100; n++) await scheduler.sleep(50);
  if (client.getResponse === undefined) return failed('no GET stream');
  const { nonce, ending } = await client.call('push');
  if (ending?.kind !== 'result') failed(`push ended as ${JSON.stringify(ending)}`);
  for (let n = 0; !client.pushed.has(`sim://${nonce}`) && n < 40; n++) await scheduler.sleep(50);
  if (!client.pushed.has(`sim://${nonce}`)) failed(`what was pushed never came (${nonce})`);
}
