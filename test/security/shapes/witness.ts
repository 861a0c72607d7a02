/** Another user, who calls all the time: on a session, and in 2026-07-28. */
import { setTimeout as sleep } from 'node:timers/promises';
import { envelope, mirrored } from '../../kit/modern.ts';
import { Caller } from '../processes/caller.ts';

const PAUSE_MS = 10;

export interface Witnessed {
  readonly calls: number;
  readonly failed: readonly string[];
  readonly p99Ms: number;
}

function percentile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity;
}

export async function startWitness(port: number, answerMs?: number) {
  const [session, modern] = [1, 2].map(() => new Caller(port, 'witness', answerMs)) as [
    Caller,
    Caller,
  ];
  await session.open();
  let times: number[] = [];
  /** When the calls began that wait for their answer. */
  const pending = new Set<number>();
  const failed: string[] = [];
  let stopped = false;

  async function calls(
    caller: Caller,
    more: object,
    headers?: Record<string, string>,
  ): Promise<void> {
    for (let n = 1; !stopped; n++) {
      const text = `call ${n}`;
      const started = performance.now();
      pending.add(started);
      const answer = await caller.rpc(
        'tools/call',
        { name: 'echo', arguments: { text }, ...more },
        headers,
      );
      pending.delete(started);
      times.push(performance.now() - started);
      if (answer.status !== 200 || !answer.text.includes(text)) {
        failed.push(`${text}: ${answer.status} ${answer.text.slice(0, 200)}`);
      }
      await sleep(PAUSE_MS);
    }
  }
  const headers = mirrored('tools/call', { name: 'echo' }) as Record<string, string>;
  const both = [calls(session, {}), calls(modern, { _meta: envelope() }, headers)];

  return {
    /** Calls before this one do not count. Returns their p99: what the machine allows without an attack. */
    begin(): number {
      const before = times;
      times = [];
      return percentile(before, 0.99);
    },
    /** Calls that wait still count with what they have waited. */
    seen(): Witnessed {
      const now = performance.now();
      const all = [...times, ...[...pending].map((started) => now - started)];
      return { calls: times.length, failed: [...failed], p99Ms: percentile(all, 0.99) };
    },
    /** Resolves with the calls that failed since `seen`. */
    async stop(): Promise<string[]> {
      const known = failed.length;
      stopped = true;
      await Promise.all(both);
      return failed.slice(known);
    },
  };
}
