/**
 * Requests try to wait for a store that is away, at an instance that lets a thousand wait: those are served when the
 * store is back, the others are refused at once, and the process holds no memory of them.
 *
 * The resident memory of a Node.js process does not show this in one round: it grows with what is not collected yet,
 * also when the same requests are served. So they are served first, and then try to wait in two rounds. The second
 * round must leave nothing that is held after a collection, and must not need more resident memory than the first.
 */
import { readFileSync } from 'node:fs';
import { createRawClient, type RawClient } from '../../kit/raw-client.ts';
import { until } from '../../kit/until.ts';
import type { StoreKind } from '../backing-store.ts';
import { Deployment } from '../deployment.ts';
import { readEffects } from '../effects.ts';
import type { History } from '../history.ts';
import { pause } from '../pause.ts';
import type { CrowdedRow } from '../report.ts';

export interface CrowdedOptions {
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly history: History;
  /** Of one round. */
  readonly requests?: number;
}

/** Half of `limits.waitingRequests` of the instance: as many as one user takes. */
const PLACES = 1_000;
const SESSIONS = 5;
/** Of all clients: those of waiting requests, and some by which the others are sent. */
const SOCKETS = PLACES + 500;
/** Of each request. */
const BODY = 'x'.repeat(4_096);
/** Requests that leave together, and the pause after them: no wave is larger than the kernel's queue of connections. */
const WAVE = 250;
const WAVE_MS = 50;
const MIB = 1024 * 1024;
/** What may be held more after the second round. The bodies of its requests are five times that. */
const HELD_BYTES = 8 * MIB;
/** By how much the resident memory of two equal rounds may differ, because it depends on when garbage is collected. */
const RESIDENT_BYTES = 64 * MIB;

const TIMEOUT_MS = 120_000;

type Ending = 'served' | 'refused' | { readonly failed: string };

export async function runCrowded({ kind, leaseMs, history, requests = 10_000 }: CrowdedOptions): Promise<CrowdedRow> {
  // None is refused because it waited too long, however slow this machine is.
  const args = ['--limits-waiting-requests', String(2 * PLACES), '--wait-ms', String(TIMEOUT_MS)];
  const deployment = await Deployment.open({ kind, leaseMs, drainMs: 5_000, history, instances: 1, args });
  const clients: RawClient[] = [];
  try {
    const [instance] = deployment.instances;
    if (instance === undefined) throw new Error('no instance');
    const { pid, url } = instance;
    for (let n = 0; n < SESSIONS; n++) {
      const client = connect(url);
      clients.push(client);
      await client.initialize();
      await client.call('tools/list');
    }
    const serving = new Round(clients, pid);
    await serving.send(requests, WAVE);
    await serving.left(0);
    // The server closes idle connections, which a request could meet.
    for (const [n, idle] of clients.entries()) {
      const { sessionId, protocolVersion } = idle;
      idle.close();
      clients[n] = Object.assign(connect(url), { sessionId, protocolVersion });
    }
    const thaw = await deployment.store.freeze();
    // Without a lease every request waits in the queue.
    await pause(leaseMs + WAVE_MS);
    const first = new Round(clients, pid);
    await first.send(requests);
    await first.left(PLACES);
    const held = { first: await heldBytes(deployment.effects, pid), second: 0 };
    const second = new Round(clients, pid);
    await second.send(requests);
    await second.left(0);
    held.second = await heldBytes(deployment.effects, pid);
    await thaw();
    const all = await Promise.all([...first.endings, ...second.endings]);
    const served = all.filter((one) => one === 'served').length;
    const refused = all.filter((one) => one === 'refused').length;
    const before = await Promise.all(serving.endings);
    const errors = failuresOf([...before, ...all]);
    if (before.some((one) => one === 'refused')) errors.push('a request was refused while the store was there');
    if (served !== PLACES) errors.push(`${served} requests were served, and ${PLACES} may wait`);
    const more = held.second - held.first;
    if (more > HELD_BYTES) errors.push(`${mib(more)} more are held after ${requests} refused requests`);
    const grown = second.resident - first.resident;
    if (grown > RESIDENT_BYTES) errors.push(`the second round needed ${mib(grown)} more than the first`);
    return {
      requests,
      places: PLACES,
      served,
      refused,
      failed: errors.length,
      resident: { serving: serving.resident, first: first.resident, second: second.resident },
      held,
      errors,
    };
  } finally {
    for (const client of clients) client.close();
    await deployment.close();
  }
}

function connect(url: string): RawClient {
  const headers = { 'x-user': 'crowd' };
  return createRawClient(url, { timeoutMs: TIMEOUT_MS, sockets: SOCKETS / SESSIONS, headers });
}

/**
 * Requests that leave in waves, and how much memory the process had at most until the last of them was sent or ended.
 */
class Round {
  readonly #clients: readonly RawClient[];
  readonly #pid: number;
  readonly endings: Promise<Ending>[] = [];
  #ended = 0;
  resident = 0;

  constructor(clients: readonly RawClient[], pid: number) {
    this.#clients = clients;
    this.#pid = pid;
  }

  /** A wave leaves when no more than `before` are under way. */
  async send(requests: number, before = Infinity): Promise<void> {
    for (let sent = 0; sent < requests; sent += WAVE) {
      await this.left(before);
      for (let n = 0; n < WAVE; n++) {
        const ending = ask(this.#clients[n % SESSIONS] as RawClient, `crowd:${sent + n}`);
        void ending.then(() => (this.#ended += 1));
        this.endings.push(ending);
      }
      await pause(WAVE_MS);
      this.#look();
    }
  }

  /** Resolves when no more than `most` are under way. */
  async left(most: number): Promise<void> {
    while (this.endings.length - this.#ended > most) {
      await pause(WAVE_MS);
      this.#look();
    }
  }

  #look(): void {
    this.resident = Math.max(this.resident, residentBytes(this.#pid));
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

function failuresOf(endings: readonly Ending[]): string[] {
  return [...new Set(endings.flatMap((one) => (typeof one === 'object' ? [one.failed] : [])))];
}

/** Of a process, on Linux. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}

/** What the process holds after a collection. */
async function heldBytes(effects: string, pid: number): Promise<number> {
  const { length } = readEffects(effects).held;
  process.kill(pid, 'SIGUSR2');
  await until(() => readEffects(effects).held.length > length, { timeoutMs: TIMEOUT_MS });
  return readEffects(effects).held[length]?.bytes ?? NaN;
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;
