/**
 * Instances: leases are keys that expire, mailboxes are channels. PUBLISH answers how many connections received the
 * message; if none did, the receiver is suspect. Before an instance renews its lease it checks that its channels
 * receive.
 */
import { internal } from '../../errors.ts';
import { base64url, type RandomSource } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';
import type { Bus } from './bus.ts';
import { RESERVED_MS } from './record-directory.ts';
import { DUE, RESERVE, SETTLE } from './directory-scripts.ts';
import { overtaken } from './failures.ts';
import type { Keys } from './keys.ts';
import { ANNOUNCE, BURY, LEAVE, RENEW } from './lease-scripts.ts';
import { LARGE_MESSAGE_LENGTH, writeEnvelope, writeReference } from './envelopes.ts';
import { RedisMailbox } from './mailbox.ts';
import type { Reply } from './client.ts';
import type { Script } from './scripts.ts';
import { rawReply, type Server, type SlotKeys } from './server.ts';

type State = InstanceLease['state'];

const LEASE_VERSION = 1;
/** How long a dead id is remembered. */
const TAKEN_MS = 86_400_000;
/** A large message that its receiver has not fetched by then is lost. */
const LARGE_MESSAGE_MS = 30_000;
const LARGE_MESSAGE_NAME_BYTES = 9;
/** How often the directory entry of a live instance is checked. */
const LIVE_CHECK_MS = 60_000;
/** Entries checked together. */
const BATCH = 256;

export interface RedisInstancesOptions {
  readonly server: Server;
  readonly keys: Keys;
  readonly bus: Bus;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly logger: Logger;
}

interface OwnInstance {
  readonly mailbox: RedisMailbox;
  renewals: number;
}

export class RedisInstances implements InstanceStore {
  readonly #options: RedisInstancesOptions;
  readonly #own = new Map<string, OwnInstance>();

  constructor(options: RedisInstancesOptions) {
    this.#options = options;
  }

  /** Opens the mailbox first, so that an instance with a lease can receive. */
  async announce(
    { id, state, version }: InstanceLease,
    receive: (from: string, message: InstanceMessage) => void,
    lost: () => void = () => undefined,
  ): Promise<void> {
    const { server, keys, leaseMs, logger } = this.#options;
    if (this.#own.has(id)) throw announcedBefore(id);
    const take = async (key: string): Promise<string | null> =>
      (await server.send(key, ['GETDEL', key])) as string | null;
    const isLetter = (key: string): boolean => keys.isLargeMessage(id, key);
    const mailbox = new RedisMailbox({ id, logger, receive, lost, isLetter, take });
    this.#own.set(id, { mailbox, renewals: 0 });
    try {
      await Promise.all([server.subscribe(keys.mailbox(id), mailbox), this.#options.bus.join(mailbox)]);
      const until = (await this.#run(RESERVE, [keys.instances], [id, String(RESERVED_MS)])) as string;
      const lease = [until, String(Math.ceil(leaseMs)), String(TAKEN_MS), String(LEASE_VERSION), state, version];
      const announced = await this.#run(ANNOUNCE, this.#keysOf(id), lease);
      if (announced === 'T') throw announcedBefore(id);
      if (announced !== 'W') throw overtaken(server.where);
    } catch (error) {
      await this.#closeMailbox(id).catch(() => undefined);
      throw error;
    }
    // In the background. The next instance that starts, or any `list()`, removes the entries that remain.
    this.#removeDeadEntries().catch((err: unknown) =>
      logger.debug({ err }, 'The entries of crashed instances could not be removed; the next start tries again'),
    );
  }

  async renew(id: string, state: State): Promise<boolean> {
    const { server, keys, bus, leaseMs } = this.#options;
    const own = this.#own.get(id);
    if (own !== undefined) await server.listen([keys.mailbox(id), bus.channel]);
    const number = own === undefined ? 0 : (own.renewals += 1);
    const args = [String(number), String(Math.ceil(leaseMs)), String(TAKEN_MS), state];
    const renewed = await this.#run(RENEW, this.#keysOf(id), args);
    if (renewed === 'W') return true;
    if (renewed !== 'D') throw overtaken(server.where);
    await this.#closeMailbox(id).catch(() => undefined);
    return false;
  }

  async read(id: string): Promise<InstanceLease | undefined> {
    const lease = this.#options.keys.lease(id);
    const reply = await this.#options.server.send(lease, ['HMGET', lease, 'state', 'version', 'n']);
    const [state, version, stamp] = reply as readonly (string | null)[];
    if (typeof state !== 'string') return undefined;
    return Object.freeze({ id, state: state as State, version: version ?? '', stamp: stamp ?? '' });
  }

  async list(): Promise<readonly InstanceLease[]> {
    const { server, keys } = this.#options;
    const ids = (await server.send(keys.instances, ['ZRANGE', keys.instances, '0', '-1'])) as readonly string[];
    const leases = await Promise.all(ids.map((id) => this.read(id)));
    const living = leases.filter((lease) => lease !== undefined);
    if (living.length < ids.length) await this.#removeDeadEntries();
    return living;
  }

  /**
   * Removes the entries of dead instances, but not of an instance that is announcing itself. The next check of a live
   * instance is later, so each call costs only the entries since the call before. Leases have other slots in a Cluster,
   * so a single script cannot do this.
   */
  async #removeDeadEntries(): Promise<void> {
    const { keys } = this.#options;
    for (;;) {
      const reply = await this.#run(DUE, [keys.instances], ['-inf', '0', String(BATCH)]);
      const [now, flat] = reply as [string, readonly string[]];
      const due = flat.filter((_, n) => n % 2 === 0);
      if (due.length === 0) return;
      const leases = await Promise.all(due.map((id) => this.read(id)));
      const settled = due.flatMap((id, n) => {
        const next = leases[n] === undefined ? '' : String(Number(now) + LIVE_CHECK_MS);
        return [id, flat[2 * n + 1] ?? '', next];
      });
      await this.#run(SETTLE, [keys.instances], settled);
      if (due.length < BATCH) return;
    }
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const { server, keys, random } = this.#options;
    const text = JSON.stringify(message);
    const channel = keys.mailbox(to);
    if (text.length <= LARGE_MESSAGE_LENGTH) return heard(await server.publish(channel, writeEnvelope(from, text)));
    const key = keys.largeMessage(to, base64url(random(LARGE_MESSAGE_NAME_BYTES)));
    const [, receivers] = await Promise.all([
      server.send(key, ['SET', key, text, 'PX', String(LARGE_MESSAGE_MS)]),
      server.publish(channel, writeReference(from, key)),
    ]);
    if (receivers === 0) await server.send(key, ['DEL', key]);
    return heard(receivers);
  }

  async bury({ id, state, stamp = '' }: InstanceLease): Promise<boolean> {
    return (await this.#run(BURY, this.#keysOf(id), [state, stamp, String(TAKEN_MS)])) === 1;
  }

  async leave(id: string): Promise<void> {
    const closing = this.#closeMailbox(id);
    await Promise.all([this.#run(LEAVE, this.#keysOf(id), [String(TAKEN_MS)]), closing]);
  }

  async publish(from: string, message: InstanceMessage): Promise<void> {
    await this.#options.server.publish(this.#options.bus.channel, writeEnvelope(from, JSON.stringify(message)));
  }

  /** An instance whose view is closed has left, whether or not it called `leave`. */
  async close(): Promise<void> {
    for (const id of this.#own.keys()) {
      await this.leave(id).catch((err: unknown) =>
        this.#options.logger.warn({ err, instance: id }, 'The lease could not be given back; it runs out by itself'),
      );
    }
  }

  #run(script: Script, keys: SlotKeys, args: readonly string[]): Promise<Reply> {
    return this.#options.server.run(script, keys, args, rawReply);
  }

  #keysOf(id: string): readonly [string, string] {
    const { keys } = this.#options;
    return [keys.lease(id), keys.taken(id)];
  }

  /** Receives nothing more from now on, even if unsubscribing fails. */
  async #closeMailbox(id: string): Promise<void> {
    const { server, keys, bus } = this.#options;
    const own = this.#own.get(id);
    if (own === undefined) return;
    this.#own.delete(id);
    own.mailbox.close();
    await Promise.all([server.unsubscribe(keys.mailbox(id), own.mailbox), bus.leave(own.mailbox)]);
  }
}

const heard = (receivers: number): 'sent' | 'suspect' => (receivers === 0 ? 'suspect' : 'sent');

const announcedBefore = (id: string): Error =>
  internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
