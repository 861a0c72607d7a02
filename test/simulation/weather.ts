/** What befalls a deployment in a run, by its seed. */
import type { Random } from './random.ts';
import type { SimInstance, World } from './world.ts';

type Blow = (world: World, random: Random) => void;

const living = (world: World): SimInstance[] =>
  world.slots.filter((instance): instance is SimInstance => instance?.process.state === 'running');

/** One of those that run. */
function victim(world: World, random: Random): SimInstance | undefined {
  const running = living(world);
  return running.length === 0 ? undefined : random.pick(running);
}

function later(world: World, ms: number, fn: () => void): void {
  world.scheduler.after(ms, fn);
}

function restart(world: World, slot: number): void {
  if (world.slots[slot] === undefined) void world.start(slot);
}

const freeze =
  (suspended: boolean): Blow =>
  (world, random) => {
    const instance = victim(world, random);
    if (instance === undefined) return;
    const ms = random.chance(0.5)
      ? random.between(20, world.leaseMs)
      : random.between(world.leaseMs, 3 * world.leaseMs);
    world.note(
      `${instance.process.name} is ${suspended ? 'suspended' : 'frozen'} for ${ms.toFixed(0)} ms`,
    );
    instance.process.freeze(suspended);
    const timersFirst = random.chance(0.5);
    later(world, ms, () => {
      if (instance.process.state === 'frozen') world.note(`${instance.process.name} continues`);
      instance.process.thaw(timersFirst);
    });
  };

/** `false`: not now. */
function rollback(world: World, ms: number): boolean {
  if (world.rollingBack || world.now + ms > world.activeUntil) return false;
  world.rollingBack = true;
  const from = world.now;
  const restore = world.snapshot();
  later(world, ms, () => {
    const sessions = restore();
    world.ledger.lost.push({ from, until: world.now, sessions: new Set(sessions) });
    world.rollingBack = false;
    world.note(`the store forgets the last ${ms.toFixed(0)} ms: ${sessions.join(', ')}`);
    for (const instance of living(world)) dropMailboxes(world, instance);
  });
  return true;
}

const setBack: Blow = (world, random) => {
  const instance = victim(world, random);
  if (instance === undefined) return;
  const { process } = instance;
  const ms = random.between(world.leaseMs, 3 * world.leaseMs);
  world.note(`${process.name} is frozen for ${ms.toFixed(0)} ms, and its wall clock with it`);
  process.freeze(false);
  process.clock.skew -= ms;
  later(world, ms, () => process.thaw(random.chance(0.5)));
};

const BLOWS = {
  crash(world, random) {
    const instance = victim(world, random);
    if (instance === undefined) return;
    world.kill(instance);
    later(world, random.between(30, 1_500), () => restart(world, instance.slot));
  },
  /** Killed, and not started again before the end. */
  loss(world, random) {
    const instance = victim(world, random);
    if (instance !== undefined && living(world).length > 1) world.kill(instance);
  },
  freeze: freeze(false),
  suspend: freeze(true),
  clockJump(world, random) {
    // Also of a frozen process.
    const there = world.slots.filter((instance): instance is SimInstance => instance !== undefined);
    if (there.length === 0) return;
    const instance = random.pick(there);
    const ms = random.between(-3, 3) * world.leaseMs;
    world.note(`the wall clock of ${instance.process.name} jumps by ${ms.toFixed(0)} ms`);
    instance.process.clock.skew += ms;
  },
  /** Frozen, and its wall clock set back by as much. */
  setBack,
  cutOff(world, random) {
    const instance = victim(world, random);
    if (instance === undefined) return;
    const { process } = instance;
    world.note(`${process.name} is cut off from the store`);
    world.cutOff.add(process);
    if (random.chance(0.5)) dropMailboxes(world, instance);
    later(world, random.between(50, 3 * world.leaseMs), () => {
      if (world.cutOff.delete(process)) world.note(`${process.name} reaches the store again`);
    });
  },
  apart(world, random) {
    const [a, b] = [victim(world, random), victim(world, random)];
    if (a === undefined || b === undefined || a === b) return;
    const pairs = [`${a.process.name}|${b.process.name}`];
    if (random.chance(0.6)) pairs.push(`${b.process.name}|${a.process.name}`);
    world.note(`apart: ${pairs.join(', ')}`);
    for (const pair of pairs) world.apart.add(pair);
    later(world, random.between(50, 3 * world.leaseMs), () => {
      for (const pair of pairs) world.apart.delete(pair);
    });
  },
  outage(world, random) {
    if (world.storeDown) return;
    world.note('the store is away');
    world.storeDown = true;
    const drops = random.chance(0.5);
    later(world, random.between(50, 3 * world.leaseMs), () => {
      if (!world.storeDown) return;
      world.note('the store is back');
      world.storeDown = false;
      if (drops) for (const instance of living(world)) dropMailboxes(world, instance);
    });
  },
  /** For longer than every lease, and no instance dies in it: each comes back to what it owns. */
  longOutage(world, random) {
    if (world.storeDown) return;
    world.note('the store is away for longer than a lease');
    world.storeDown = true;
    later(world, random.between(1.2, 3) * world.leaseMs, () => {
      world.note('the store is back');
      world.storeDown = false;
    });
  },
  /** Nothing fails: it waits, for longer than a lease maybe, and then all of it happens. */
  stall(world, random) {
    const ms = random.between(world.leaseMs / 2, 2 * world.leaseMs);
    const calls = random.pick(['writes', 'calls', 'all'] as const);
    world.note(`${calls} to the store wait for ${ms.toFixed(0)} ms`);
    world.stall = { calls, until: world.now + ms };
  },
  rollback(world, random) {
    rollback(world, random.between(100, 1_000));
  },
  /** What is forgotten: the death of an instance, and which instance claimed. */
  forgottenDeath(world, random) {
    const instance = victim(world, random);
    if (instance === undefined || !rollback(world, random.between(200, 800))) return;
    world.kill(instance);
    later(world, random.between(800, 2_000), () => restart(world, instance.slot));
  },
  drain(world, random) {
    const instance = victim(world, random);
    if (instance?.listening !== true) return;
    const { slot } = instance;
    void world.retire(instance, random.between(50, 1_500)).then(() => restart(world, slot));
  },
  mailboxLoss(world, random) {
    const instance = victim(world, random);
    if (instance === undefined) return;
    if (random.chance(0.7)) return dropMailboxes(world, instance);
    world.note(`${instance.process.name} hears nothing any more`);
    for (const mailbox of world.mailboxes.values())
      if (mailbox.port === instance.port) mailbox.deaf = true;
  },
} satisfies Record<string, Blow>;

/** What befalls the deployment, and how often a second. */
export type Weather = Record<keyof typeof BLOWS, number>;

const NAMES = Object.keys(BLOWS) as Array<keyof Weather>;

export const CLEAR = Object.fromEntries(NAMES.map((name) => [name, 0])) as Weather;

export function dropMailboxes(world: World, instance: SimInstance): void {
  world.note(`the mailbox of ${instance.process.name} is dropped`);
  for (const mailbox of world.mailboxes.values())
    if (mailbox.port === instance.port) mailbox.drop(true);
}

/** Until the clients have acted. */
export function brew(world: World, random: Random, weather: Weather, strength = 1): void {
  for (const name of NAMES) {
    const perSecond = weather[name] * strength;
    if (perSecond === 0) continue;
    const own = random.fork();
    let at = 0;
    for (;;) {
      at += (-Math.log(1 - own.next()) * 1_000) / perSecond;
      if (at >= world.activeUntil) break;
      world.scheduler.at(at, () => {
        if (!world.healed) BLOWS[name](world, own);
      });
    }
  }
}
