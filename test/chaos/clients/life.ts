/** What a client does with its time. */
import type { Call } from '../history.ts';
import { pause } from '../pause.ts';
import type { Random } from '../../simulation/random.ts';
import type { Actor, Work } from './actor.ts';

/** How often a client does what. */
export const ACTIONS = {
  effect: 4,
  slowEffect: 3,
  count: 5,
  slowCount: 1.5,
  peek: 3,
  read: 2,
  slow: 2,
  slowOnce: 2,
  ask: 3,
  push: 4,
  leave: 1,
  dropGet: 0.6,
  delete: 0.15,
} as const;

type Action = keyof typeof ACTIONS;
type Actions = Readonly<Record<Action, number>>;

const MODERN: Readonly<Record<'effect' | 'slowEffect' | 'read' | 'slow' | 'confirm', number>> = {
  effect: 4,
  slowEffect: 3,
  read: 3,
  slow: 2,
  confirm: 3,
};

export interface Pace {
  /** Between two acts, in ms. */
  readonly thinkMs: readonly [number, number];
  /** Calls under way at most. */
  readonly concurrency: number;
  /** The longest that a tool takes, in ms. */
  readonly longest: number;
  readonly actions: Actions;
}

/** Lives until `over`: comes, acts, ends its session now and then and comes again. */
export async function live(actor: Actor, random: Random, pace: Pace, over: () => boolean): Promise<void> {
  const [low, high] = pace.thinkMs;
  while (!over()) {
    if (!actor.ready && !(await actor.open())) continue;
    await pause(random.between(low, high));
    if (actor.story?.notFoundAt !== undefined) await actor.delete();
    else if (actor.pending.size >= pace.concurrency) await Promise.race(actor.pending);
    else if (!over()) await act(actor, random, pace);
  }
}

async function act(actor: Actor, random: Random, { longest, actions }: Pace): Promise<void> {
  const ms = random.between(5, longest);
  const tools: Readonly<Record<string, readonly [tool: string, work?: Work]>> = {
    effect: ['effect'],
    slowEffect: ['effect', { ms }],
    count: ['count'],
    slowCount: ['count', { ms }],
    peek: ['peek'],
    read: ['read', { ms: random.chance(0.3) ? ms : 0 }],
    slow: ['slow', { ms, steps: 5 }],
    slowOnce: ['slow-once', { ms, steps: 5 }],
    ask: ['ask'],
    push: ['push'],
    leave: ['slow-once', { ms, steps: 8, leaveAfter: ms / 2 }],
    confirm: ['confirm'],
  };
  const action = actor.stateless ? random.weighted(MODERN) : random.weighted(actions);
  if (action === 'dropGet') return actor.dropGet();
  if (action === 'delete') {
    // Now and then with calls under way.
    if (random.chance(0.6)) await Promise.all(actor.pending);
    return actor.delete();
  }
  const [tool = '', work] = tools[action] ?? [];
  void actor.call(tool, work);
}

/** In calm weather everything works, at the latest when it is tried again. */
export async function prove(actor: Actor, over: () => boolean): Promise<void> {
  const tools = actor.stateless ? ['effect', 'read', 'confirm'] : ['count', 'peek', 'ask', 'effect', 'push'];
  for (const tool of tools) {
    let call: Call | undefined;
    // Its client may be ending it still.
    while (call?.ending?.kind !== 'result' && !over() && actor.ready) call = await actor.call(tool);
  }
}
