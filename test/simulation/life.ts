/** What a client does with its life: it comes, acts by its pace, and in the end sees whether everything works. */
import type { CallOptions } from './client-call.ts';
import { SimClient } from './client.ts';
import type { ClientWorld } from './client-world.ts';
import type { Random } from './random.ts';
import type { ACTIONS } from './scenario.ts';

/** What a client does last must wait until leases of the dead have run out, and streams have been found again. */
const SETTLE_MS = 3_000;
/** For calls from before; the checker judges a call that has not ended by then. */
const PATIENCE_MS = 12_000;
const LONGEST_MS = 700;

export interface Pace {
  /** Between two actions. */
  readonly thinkMs: readonly [number, number];
  readonly actions: Readonly<Record<keyof typeof ACTIONS, number>>;
  /** Calls under way at most. */
  readonly concurrency: number;
  /** The longest that a tool takes (700). */
  readonly longestMs?: number;
}

/** A client, as far as its life goes: one that speaks HTTP itself, or an official one. */
export type Living = Pick<
  SimClient,
  'name' | 'story' | 'gone' | 'pending' | 'proofs' | 'open' | 'call' | 'delete'
>;

/** `clients`: whose sessions it may trespass on. */
export async function life(
  world: ClientWorld,
  pace: Pace,
  client: Living,
  random: Random,
  clients: readonly SimClient[],
): Promise<void> {
  const { scheduler } = world;
  const raw = client instanceof SimClient ? client : undefined;
  let over = false;
  let listening: Promise<void> = Promise.resolve();
  const enter = async (): Promise<void> => {
    await client.open();
    if (raw !== undefined) listening = raw.listen(() => over);
    if (pace.actions.list > 0 && random.chance(0.6)) void client.call('tools/list');
  };
  await enter();
  while (world.now < world.activeUntil) {
    const [low, high] = pace.thinkMs;
    await scheduler.sleep(random.between(low, high));
    if (client.gone) {
      if (random.chance(0.5)) await raw?.probe();
      else await enter();
      continue;
    }
    if (client.pending.size >= pace.concurrency) await Promise.race(client.pending);
    await act(pace, { client, raw, random, clients });
  }
  while (!world.healed) await scheduler.sleep(10);
  await scheduler.sleep(SETTLE_MS);
  await Promise.race([pastCalls(client), scheduler.sleep(PATIENCE_MS)]);
  if (client.gone) await enter();
  if (!client.gone) await last(world, client);
  over = true;
  raw?.getResponse?.close();
  await listening;
}

async function pastCalls(client: Living): Promise<void> {
  while (client.pending.size > 0) await Promise.all(client.pending);
}

interface Actor {
  readonly client: Living;
  /** The same, where it speaks HTTP itself. */
  readonly raw: SimClient | undefined;
  readonly random: Random;
  readonly clients: readonly SimClient[];
}

interface Acting extends Actor {
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
    void client.call(random.pick(['effect', 'slow', 'ask']), {
      ms,
      cancelAfter: random.between(1, ms),
    }),
  leave: ({ client, random, ms }) =>
    void client.call(random.pick(['effect', 'slow', 'slowOnce', 'ask']), {
      ms,
      leaveAfter: random.between(1, ms),
    }),
  leaveGet: ({ raw }) => raw?.getResponse?.close(),
  trespass: async ({ raw, random, clients }) => {
    const other = random.pick(clients);
    if (other !== raw) await raw?.trespass(other);
  },
  delete: ({ client }) => client.delete(),
  confirm: ({ client }) => void client.call('confirm'),
};

async function act({ actions, longestMs = LONGEST_MS }: Pace, actor: Actor): Promise<void> {
  const { random } = actor;
  const ms = random.between(5, longestMs);
  const patience = random.chance(0.3) ? { patience: random.between(200, 2_000) } : {};
  await ACTS[random.weighted(actions)]({ ...actor, ms, patience });
}

/** In calm weather everything works. */
async function last(world: ClientWorld, client: Living): Promise<void> {
  const { ledger, scheduler, tries } = world;
  const { story } = client;
  const failed = (what: string): void => {
    if (!ledger.lost.some(({ sessions }) => sessions.has(story?.id ?? '')))
      world.wrong(`${client.name}: ${what} in calm weather`);
  };
  const works = async (tool: string): Promise<string> => {
    let { nonce, ending } = await client.call(tool);
    for (let n = 1; n < tries && ending?.kind !== 'result'; n++)
      ({ nonce, ending } = await client.call(tool));
    if (ending?.kind !== 'result') failed(`${tool} ended as ${JSON.stringify(ending)}`);
    return `sim://${nonce}`;
  };
  for (const tool of client.proofs) await works(tool);
  if (!(client instanceof SimClient)) return;
  for (let n = 0; client.getResponse === undefined && n < 100 * tries; n++)
    await scheduler.sleep(50);
  if (client.getResponse === undefined) return failed('no GET stream');
  const pushed = await works('push');
  for (let n = 0; !client.pushed.has(pushed) && n < 40 * tries; n++) await scheduler.sleep(50);
  if (!client.pushed.has(pushed)) failed(`what was pushed never came (${pushed})`);
}
