/**
 * Ten thousand requests try to wait for a store that is away, at an instance that lets a thousand wait: those are served
 * when the store is back, the others are refused at once, and the memory of the process does not grow with them.
 */
import { readFileSync } from 'node:fs';
import { createRawClient, type RawClient } from '../../../src/testing/index.ts';
import type { StoreKind } from '../backing-store.ts';
import { Deployment } from '../deployment.ts';
import type { History } from '../history.ts';
import { pause } from '../pause.ts';
import type { CrowdedRow } from '../report.ts';

export interface CrowdedOptions {
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly history: History;
  /** Requests that try to wait. */
  readonly requests?: number;
}

/** `limits.waitingRequests` of the instance. */
const PLACES = 1_000;
const SESSIONS = 5;
/** Of all clients: those of waiting requests, and some by which the others are sent. */
const SOCKETS = PLACES + 500;
/** Of each request. */
const BODY = 'x'.repeat(4_096);
/** Requests that leave together, and the pause after them: no wave is larger than the kernel's queue of connections. */
const WAVE = 250;
const WAVE_MS = 50;
/** What the process may need more for requests that it refuses: sockets, and what is not collected yet. */
const GROWTH_BYTES = 64 * 1024 * 1024;
const MIB = 1024 * 1024;

const TIMEOUT_MS = 120_000;

type Ending = 'served' | 'refused' | { readonly failed: string };

export async function runCrowded({ kind, leaseMs, history, requests = 10_000 }: CrowdedOptions): Promise<CrowdedRow> {
  // None is refused because it waited too long, however slow this machine is.
  const args = ['--limits-waiting-requests', String(PLACES), '--wait-ms', String(TIMEOUT_MS)];
  const deployment = await Deployment.open({ kind, leaseMs, drainMs: 5_000, history, instances: 1, args });
  const clients: RawClient[] = [];
  try {
    const [instance] = deployment.instances;
    if (instance === undefined) throw new Error('no instance');
    const { pid, url } = instance;
    for (let n = 0; n < SESSIONS; n++) {
      const client = createRawClient(url, {
        timeoutMs: TIMEOUT_MS,
        sockets: SOCKETS / SESSIONS,
        headers: { 'x-user': `crowd-${n}` },
      });
      clients.push(client);
      await client.initialize();
      await client.call('tools/list');
    }
    const before = residentBytes(pid);
    const thaw = await deployment.store.freeze();
    // Without a lease every request waits in the queue.
    await pause(leaseMs + WAVE_MS);
    const endings: Promise<Ending>[] = [];
    let over = 0;
    const ended = (): void => void (over += 1);
    let filled = 0;
    let most = 0;
    for (let sent = 0; sent < requests; sent += WAVE) {
      const wave = Array.from({ length: WAVE }, (_, n) => ask(clients[n % SESSIONS] as RawClient, `crowd:${sent + n}`));
      for (const ending of wave) void ending.then(ended);
      endings.push(...wave);
      await pause(WAVE_MS);
      const now = residentBytes(pid);
      if (over <= PLACES) filled = Math.max(filled, now);
      most = Math.max(most, now);
    }
    while (over < requests - PLACES) {
      await pause(WAVE_MS);
      most = Math.max(most, residentBytes(pid));
    }
    await thaw();
    const all = await Promise.all(endings);
    const [served, refused] = [
      all.filter((one) => one === 'served').length,
      all.filter((one) => one === 'refused').length,
    ];
    const errors = [...new Set(all.flatMap((one) => (typeof one === 'object' ? [one.failed] : [])))];
    if (served < PLACES) errors.push(`${served} requests were served, and ${PLACES} may wait`);
    if (most - filled > GROWTH_BYTES) errors.push(`${((most - filled) / MIB).toFixed(0)} MiB for refused requests`);
    return { requests, places: PLACES, served, refused, failed: errors.length, before, filled, most, errors };
  } finally {
    for (const client of clients) client.close();
    await deployment.close();
  }
}

async function ask(client: RawClient, nonce: string): Promise<Ending> {
  try {
    const params = { name: 'read', arguments: { nonce, body: BODY } };
    const { message, response } = await client.call('tools/call', params);
    const { result, error } = message as { result?: unknown; error?: { data?: { reason?: string } } };
    if (result !== undefined) return 'served';
    return error === undefined ? { failed: `HTTP ${response.status}` } : 'refused';
  } catch (error) {
    return { failed: String(error) };
  }
}

/** Of a process, on Linux. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}
