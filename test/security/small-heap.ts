/**
 * A server process with a small heap, attackers, and a witness: another user who must be served throughout.
 */
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { SmallHeap } from './processes/small-heap.ts';
import { startWitness } from './shapes/witness.ts';

/** `store`: a path for SQLite, or the URL of a Redis or PostgreSQL; the memory store without it. */
export async function startSmallHeap(options: object = {}, store?: string): Promise<SmallHeap> {
  const server = await SmallHeap.start(options, store);
  onTestFinished(() => server.end());
  return server;
}

/** Another user calls while `attack` runs. The process survives, and each of that user's calls is answered. */
export async function underAttack(server: SmallHeap, attack: () => Promise<void>): Promise<void> {
  const witness = await startWitness(server.port);
  await attack();
  expect(server.alive, server.output).toBe(true);
  const late = await witness.stop();
  const { calls, failed } = witness.seen();
  expect([failed, late], server.output).toEqual([[], []]);
  // How many more depends on how fast this machine is.
  expect(calls).toBeGreaterThan(1);
}

/** `count` times, `parallel` at a time. */
export async function times<T>(
  count: number,
  parallel: number,
  work: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(count, parallel) }, async () => {
      for (let n = next++; n < count; n = next++) results[n] = await work(n);
    }),
  );
  return results;
}

/** A connection that sends and then reads nothing. */
export function deafConnection(port: number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes);
      socket.pause();
      resolve(socket);
    });
    socket.on('error', reject);
    onTestFinished(() => void socket.destroy());
  });
}
