/**
 * The instances that have the file open: leases are rows, mailboxes are sockets.
 *
 *     announced ──renew()──▶ renewed … ──leave(), bury(), not renewed in time──▶ dead
 *
 * A lease is valid until `ends` on the machine's clock. Its owner announces, renews and leaves; any other instance may
 * bury it. The row of a dead lease stays for a day, so that its id cannot be used again. Each renewal adds 1 to
 * `renewals`, and a burial succeeds only for the count that it saw. A crash leaves the row and the socket; the next
 * announcement removes both.
 */
import { internal, storeAway } from '../../errors.ts';
import type { RandomSource } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import type { MaybePromise, InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';
import { addressPath, mailboxAddress, removeSocket } from './address.ts';
import type { StoreClock } from './clock.ts';
import { foreignAddress, unsafeSocket } from './failures.ts';
import { encodeFrame } from './frames.ts';
import { SqliteMailbox } from './mailbox.ts';
import { socketDanger } from './ownership.ts';
import { Peer, type SendOutcome } from './peer.ts';
import type { RetryBackoff } from './retry-backoff.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

type State = InstanceLease['state'];

/** What `read` and `list` return. `renewals` shows whether the lease was renewed since it was read. */
interface ReadLease extends InstanceLease {
  readonly renewals: number;
}

type LeaseRow = readonly [id: string, state: State, version: string, renewals: number];
type JudgedLease = readonly [...LeaseRow, 'valid' | 'late' | 'dead'];

const DEAD_KEPT_MS = 86_400_000;

export interface SqliteInstancesOptions {
  readonly file: StoreFile;
  readonly deployment: number;
  readonly clock: StoreClock;
  readonly backoff: RetryBackoff;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class SqliteInstances implements InstanceStore {
  readonly #options: SqliteInstancesOptions;
  readonly #mailboxes = new Map<string, SqliteMailbox>();
  readonly #peers = new Map<string, Peer>();

  constructor(options: SqliteInstancesOptions) {
    this.#options = options;
  }

  /**
   * Writes the lease before it opens the socket, so that no socket exists without a row. A sender that finds no socket
   * yet retries.
   */
  async announce(
    lease: InstanceLease,
    receive: (from: string, message: InstanceMessage) => void,
    lost: () => void = () => undefined,
  ): Promise<void> {
    const { file, deployment, leaseMs, clock, random, logger } = this.#options;
    this.#forgetDead();
    const { id, state, version } = lease;
    const address = mailboxAddress(file.path, random);
    const mailbox = new SqliteMailbox(this.#pathOf(id, address), { receive, lost }, logger);
    const announced = await file.write(() => {
      const ends = clock.machine() + leaseMs;
      const values = [deployment, id, state, version, leaseMs, clock.boot, ends, clock.wall(), address];
      return file.database.change(SQL.announce, values).changes === 1;
    });
    if (!announced) {
      mailbox.close();
      throw internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
    }
    this.#mailboxes.set(id, mailbox);
    try {
      await mailbox.open();
    } catch (cause) {
      await this.leave(id);
      throw storeAway(`the mailbox of this instance cannot be opened: ${(cause as Error).message}`, cause);
    }
  }

  async renew(id: string, state: State): Promise<boolean> {
    const { file, leaseMs } = this.#options;
    file.checkIdentity();
    // The mailbox first: an instance that reads the renewed lease must be able to reach it.
    await this.#mailboxes.get(id)?.repair();
    const renewed = await file.write(
      () => file.database.change(SQL.renew, [...this.#key(id), state, leaseMs]).changes === 1,
    );
    if (!renewed) this.#closeMailbox(id);
    // A small write such as a lease may fit on a disk that has no room for a session.
    void file.checkRoom();
    return renewed;
  }

  read(id: string): MaybePromise<InstanceLease | undefined> {
    const judged = this.#judge(id);
    return judged instanceof Promise
      ? judged.then((row) => this.#buriedIfLate(id, row))
      : this.#buriedIfLate(id, judged);
  }

  #judge(id: string): MaybePromise<JudgedLease | undefined> {
    const { file } = this.#options;
    return file.read(() => file.database.one<JudgedLease>(SQL.judgedLease, this.#key(id)));
  }

  /**
   * A lease that is past its end is buried before the caller gets an answer, because `undefined` is final. Its renewal
   * may be written and not yet committed: a later renewal then fails, and an earlier one is found when the lease is
   * read again.
   */
  #buriedIfLate(id: string, row: JudgedLease | undefined): MaybePromise<InstanceLease | undefined> {
    if (row === undefined || row[4] === 'dead') return undefined;
    if (row[4] === 'valid') return readLease([row[0], row[1], row[2], row[3]]);
    const { file } = this.#options;
    return file
      .write(() => {
        file.database.run(SQL.buryLate, this.#key(id));
      })
      .then(() => this.read(id));
  }

  list(): MaybePromise<readonly InstanceLease[]> {
    const { file, deployment, clock } = this.#options;
    return file.read(() =>
      file.database.all<LeaseRow>(SQL.leases, [clock.boot, clock.machine(), deployment]).map(readLease),
    );
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<SendOutcome> {
    return this.#peer(to).send(encodeFrame(from, message));
  }

  async bury(lease: InstanceLease): Promise<boolean> {
    const { file } = this.#options;
    // A lease that this store did not return has no count. It is buried if its state matches.
    const { id, state, renewals = null } = lease as InstanceLease & Partial<ReadLease>;
    const address = await file.write(() => {
      const found = file.database.one<[...LeaseRow, address: string | null]>(SQL.lease, this.#key(id))?.[4];
      const { changes } = file.database.change(SQL.bury, [...this.#key(id), state, renewals]);
      return changes === 1 ? (found ?? '') : undefined;
    });
    if (address === undefined) return false;
    if (address !== '') this.#removeSocket(address);
    this.#dropPeer(id);
    return true;
  }

  async leave(id: string): Promise<void> {
    const { file, deployment } = this.#options;
    this.#closeMailbox(id);
    await file.write(() => file.database.run(SQL.leave, [deployment, id]));
  }

  async publish(from: string, message: InstanceMessage): Promise<void> {
    const frame = encodeFrame(from, message);
    for (const { id } of await this.list()) {
      if (id !== from) this.#publishTo(id, frame);
    }
  }

  /** Removes every instance of this view, also those that did not leave. */
  async close(): Promise<void> {
    const own = [...this.#mailboxes.keys()];
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    for (const id of own) {
      await this.leave(id).catch((err: unknown) =>
        this.#options.logger.warn({ err, instance: id }, 'The lease could not be given back; it runs out by itself'),
      );
    }
  }

  /** The parameters of every statement about the lease of one instance. */
  #key(id: string): readonly [string, number, number, string] {
    const { deployment, clock } = this.#options;
    return [clock.boot, clock.machine(), deployment, id];
  }

  #pathOf(id: string, address: string): string {
    const { path } = this.#options.file;
    const found = addressPath(path, address);
    if (found === undefined) throw foreignAddress(path, id, address);
    return found;
  }

  /** An address that no instance has is left alone. */
  #removeSocket(address: string): void {
    const path = addressPath(this.#options.file.path, address);
    if (path !== undefined) removeSocket(path);
  }

  #peer(id: string): Peer {
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    const { file, backoff } = this.#options;
    const peer: Peer = new Peer(id, {
      find: async () => {
        const row = await file.read(() => file.database.one<[...LeaseRow, string | null]>(SQL.lease, this.#key(id)));
        if (row === undefined || row[4] === null) return undefined;
        const path = this.#pathOf(id, row[4]);
        const danger = socketDanger(file.path, path);
        if (danger !== undefined) throw unsafeSocket(id, path, danger);
        return path;
      },
      lostMessages: (messages) =>
        this.#options.logger.warn(
          { instance: id, messages },
          'An instance that has a lease does not listen; messages to it are lost',
        ),
      closed: () => {
        if (this.#peers.get(id) === peer) this.#peers.delete(id);
      },
      backoff,
    });
    this.#peers.set(id, peer);
    return peer;
  }

  #dropPeer(id: string): void {
    this.#peers.get(id)?.close();
    this.#peers.delete(id);
  }

  /** At most once: an instance that cannot be reached misses the message. */
  #publishTo(id: string, frame: Buffer): void {
    (async () => this.#peer(id).send(frame))().catch((err: unknown) =>
      this.#options.logger.debug({ err, instance: id }, 'A message to all did not reach this instance'),
    );
  }

  #closeMailbox(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }

  /** Removes sockets of instances that crashed, and leases that no instance reads any more. */
  #forgetDead(): void {
    const { file, clock } = this.#options;
    const { database } = file;
    file
      .write(() => {
        const now = [clock.boot, clock.machine()] as const;
        const addresses = database.all<[string]>(SQL.deadAddresses, now).map(([address]) => address);
        if (addresses.length > 0) database.run(SQL.forgetAddresses, now);
        database.run(SQL.forgetInstances, [...now, clock.wall() - DEAD_KEPT_MS]);
        return addresses;
      })
      .then(
        (addresses) => addresses.forEach((address) => this.#removeSocket(address)),
        (err: unknown) => this.#options.logger.debug({ err }, 'Sockets of dead instances could not be removed'),
      );
  }
}

const readLease = ([id, state, version, renewals]: LeaseRow): ReadLease =>
  Object.freeze({ id, state, version, renewals });
