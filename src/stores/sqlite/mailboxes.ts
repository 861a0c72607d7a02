/**
 * The mailboxes of one view are sockets. A lease names the address of its socket and is stored before the socket opens,
 * so that whatever a crash leaves can be found. A sender that finds no socket yet retries.
 */
import type { RandomSource } from '../../base/system.ts';
import type { Logger } from '../../types.ts';
import type { LeaseRecords, Mailboxes, Receive } from '../shared/instances.ts';
import { type InstanceMessage, isEnded, type MaybePromise } from '../store.ts';
import { addressPath, mailboxAddress, removeSocket } from './address.ts';
import { foreignAddress, unsafeSocket } from './failures.ts';
import { encodeFrame } from './mailbox-frames.ts';
import { SqliteMailbox } from './mailbox.ts';
import { socketDanger } from './file-owners.ts';
import { Peer, type SendOutcome } from './peer.ts';
import type { RetryBackoff } from './retry-backoff.ts';
import type { StoreFile } from './store-file.ts';

export interface SqliteMailboxesOptions {
  readonly file: StoreFile;
  readonly leases: Pick<LeaseRecords, 'read'>;
  readonly backoff: RetryBackoff;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class SqliteMailboxes implements Mailboxes {
  readonly #options: SqliteMailboxesOptions;
  readonly #mailboxes = new Map<string, SqliteMailbox>();
  readonly #peers = new Map<string, Peer>();

  constructor(options: SqliteMailboxesOptions) {
    this.#options = options;
  }

  open(id: string, receive: Receive, lost: () => void): string {
    const { file, random, logger } = this.#options;
    const address = mailboxAddress(file.path, random);
    this.#mailboxes.set(id, new SqliteMailbox(this.#pathOf(id, address), { receive, lost }, logger));
    return address;
  }

  async listen(id: string): Promise<void> {
    await this.#mailboxes.get(id)?.open();
  }

  /** The socket first: an instance that reads the renewed lease must be able to reach it. */
  async check(id: string): Promise<void> {
    const { file } = this.#options;
    file.checkIdentity();
    await this.#mailboxes.get(id)?.repair();
    // A small write such as a lease may fit on a disk that has no room for a session.
    void file.checkRoom();
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<SendOutcome> {
    return this.#peer(to).send(encodeFrame(from, message));
  }

  close(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }

  /** An address that no instance has is left alone. */
  forget(id: string, address: string): void {
    const path = addressPath(this.#options.file.path, address);
    if (path !== undefined) removeSocket(path);
    this.#peers.get(id)?.close();
    this.#peers.delete(id);
  }

  closePeers(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #pathOf(id: string, address: string): string {
    const { path } = this.#options.file;
    const found = addressPath(path, address);
    if (found === undefined) throw foreignAddress(path, id, address);
    return found;
  }

  #peer(id: string): Peer {
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    const peer: Peer = new Peer(id, {
      find: () => this.#find(id),
      lostMessages: (messages) =>
        this.#options.logger.warn(
          { instance: id, messages },
          'An instance that has a lease does not listen; messages to it are lost',
        ),
      closed: () => {
        if (this.#peers.get(id) === peer) this.#peers.delete(id);
      },
      backoff: this.#options.backoff,
    });
    this.#peers.set(id, peer);
    return peer;
  }

  async #find(id: string): Promise<string | undefined> {
    const lease = await this.#options.leases.read(id);
    if (lease === undefined || isEnded(lease) || lease.owner === null) return undefined;
    const path = this.#pathOf(id, lease.owner);
    const danger = socketDanger(this.#options.file.path, path);
    if (danger !== undefined) throw unsafeSocket(id, path, danger);
    return path;
  }
}
