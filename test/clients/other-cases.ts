/**
 * What the users of a client go through: each case drives one client against one instance while the others go through the
 * same, and says what its user saw. Faults that all of them share (a restart, a freeze) are made once, by the test.
 */
import type { Era, OtherClient, OtherProgram, Seen } from './other-client.ts';

export interface Subject {
  readonly program: OtherProgram;
  readonly era: Era;
}

/** The fault of a case: it begins when every client is ready, and `over` is true once the server has recovered. */
export interface Fault {
  readonly begun: Promise<void>;
  readonly recovered: Promise<void>;
}

const LIST_CHANGED = 'notifications/tools/list_changed';
const EVERY_MS = 100;
/** Calls after the server has recovered. */
const AFTERWARDS = 5;
const PUSH_MS = 8_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Whether the client is still good for anything: a call, and on 2025 a notification on its GET stream. */
async function lives(client: OtherClient, era: Era): Promise<Seen[]> {
  const seen = [await client.call('read', {}, 'read')];
  if (client.dead !== undefined) return [...seen, `dead: ${client.dead}`];
  if (era === '2026') return seen;
  seen.push(await client.call('reveal'));
  seen.push((await client.notified(LIST_CHANGED, PUSH_MS)) ? 'ok' : 'no push');
  return seen;
}

/** 40 connections, five at a time, each with a call. */
export async function connecting({ program, era }: Subject, url: string): Promise<Seen[]> {
  const one = async (): Promise<Seen> => {
    try {
      const client = await program.connect(url, era);
      const seen = await client.call('read', {}, 'read');
      await client.close();
      return seen;
    } catch (error) {
      return `refused: ${(error as Error).message}`;
    }
  };
  const seen: Seen[] = [];
  for (let round = 0; round < 8; round++) seen.push(...(await Promise.all(Array.from({ length: 5 }, one))));
  return seen;
}

export async function manyAtOnce({ program, era }: Subject, url: string): Promise<Seen[]> {
  const client = await program.connect(url, era);
  const calls = Array.from({ length: 100 }, () => client.call('read', { ms: 50 }, 'read'));
  const seen = await Promise.all(calls);
  seen.push(...(await lives(client, era)));
  await client.close();
  return seen;
}

/** Calls every 100 ms from before the fault until after it; a long call is under way when it begins. */
export async function calling(client: OtherClient, era: Era, { begun, recovered }: Fault): Promise<Seen[]> {
  let ends = Infinity;
  const calls: Promise<Seen>[] = [];
  void recovered.then(() => (ends = calls.length + AFTERWARDS));
  void begun.then(() => calls.push(client.call('read', { ms: 500 }, 'read')));
  while (calls.length < ends) {
    calls.push(calls.length % 2 === 0 ? client.call('read', {}, 'read') : client.call('count'));
    await pause(EVERY_MS);
  }
  const seen = await Promise.all(calls);
  seen.push(...(await lives(client, era)));
  await client.close();
  return seen;
}

/** The user answers a question while the store is away. */
export async function answering(client: OtherClient, era: Era, { begun }: Fault): Promise<Seen[]> {
  const call = client.call('ask', {}, 'blue');
  if (!(await client.asked())) return ['not asked'];
  await begun;
  client.answer();
  const seen = [await call];
  seen.push(...(await lives(client, era)));
  await client.close();
  return seen;
}
