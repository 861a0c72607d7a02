/**
 * The mailboxes of one view are sockets beside the database, so that the permissions of the folder cover both. The name
 * of a socket follows from the instance's id, so that the socket of a dead instance is found. On Windows a mailbox is a
 * named pipe (written, never run).
 */
import { lstatSync, rmSync } from 'node:fs';
import { digestText } from '../../base/digest.ts';
import type { Logger } from '../../types.ts';
import type { LeaseRecords, Mailboxes, Receive } from '../shared/instances.ts';
import { type InstanceMessage, isEnded, type MaybePromise } from '../store.ts';
import { pathTooLong, unsafeSocket } from './failures.ts';
import { socketDanger } from './file-owners.ts';
import { SqliteMailbox } from './mailbox.ts';
import { Peer, type SendOutcome } from './peer.ts';
import type { StoreFile } from './store-file.ts';

/** Systems allow 104 to 108 bytes, and libuv cuts longer paths without an error. */
const PATH_BYTES = 103;
/** 48 bits: unique among the instances of a file. */
const NAME_CHARACTERS = 8;

export interface SqliteMailboxesOptions {
  readonly file: StoreFile;
  /** The deployment. */
  readonly name: string;
  readonly leases: Pick<LeaseRecords, 'read'>;
  readonly logger: Logger;
}

export class SqliteMailboxes implements Mailboxes {
  readonly #options: SqliteMailboxesOptions;
  readonly #mailboxes = new Map<string, SqliteMailbox>();
  readonly #peers = new Map<string, Peer>();

  constructor(options: SqliteMailboxesOptions) {
    this.#options = options;
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const path = this.#pathOf(id);
    if (Buffer.byteLength(path) > PATH_BYTES) throw pathTooLong(this.#options.file.path, path, PATH_BYTES);
    const mailbox = new SqliteMailbox(path, { receive, lost }, this.#options.logger);
    await mailbox.open();
    this.#mailboxes.set(id, mailbox);
    return id;
  }

  /** The socket first: an instance that reads the renewed lease must be able to reach it. */
  async check(id: string): Promise<void> {
    const { file } = this.#options;
    file.checkIdentity();
    await this.#mailboxes.get(id)?.repair();
    // A small write such as a lease may fit on a disk that has no room for a session.
    file.checkRoom();
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<SendOutcome> {
    return this.#peer(to).send(`${JSON.stringify([from, message])}\n`);
  }

  close(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }

  /** Removes nothing but a socket. */
  forget(id: string): void {
    const path = this.#pathOf(id);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path, { force: true });
    this.#peers.get(id)?.close();
    this.#peers.delete(id);
  }

  closePeers(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #pathOf(id: string): string {
    const { file, name } = this.#options;
    const own = digestText(JSON.stringify([name, id])).slice(0, NAME_CHARACTERS);
    return process.platform === 'win32' ? `\\\\.\\pipe\\sojourn-${own}` : `${file.path}-${own}.sock`;
  }

  #peer(id: string): Peer {
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    const peer: Peer = new Peer(id, {
      find: () => this.#find(id),
      lostMessages: (messages, err) =>
        this.#options.logger.warn(
          { instance: id, messages, err },
          'An instance that has a lease does not listen; messages to it are lost',
        ),
      closed: () => {
        if (this.#peers.get(id) === peer) this.#peers.delete(id);
      },
    });
    this.#peers.set(id, peer);
    return peer;
  }

  async #find(id: string): Promise<string | undefined> {
    const lease = await this.#options.leases.read(id);
    if (lease === undefined || isEnded(lease)) return undefined;
    const path = this.#pathOf(id);
    const danger = socketDanger(this.#options.file.path, path);
    if (danger !== undefined) throw unsafeSocket(id, path, danger);
    return path;
  }
}
