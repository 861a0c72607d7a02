/**
 * The mailboxes of one view are sockets beside the database, so that the permissions of the folder cover both. The name
 * of a socket follows from the instance's id, so that the socket of a dead instance is found. On Windows a mailbox is a
 * named pipe (written, never run).
 *
 * There is one connection to each other instance, so that its messages arrive in order. Messages that are written when
 * the receiver dies are lost, although `send` answered `'sent'`, and so are messages to one whose socket was deleted,
 * until it opens its socket again. A sender that needs an answer waits for one.
 *
 * A process that is killed in the milliseconds between its socket and its lease leaves an empty file. No lease names
 * it, so no instance removes it: it might be the socket of an instance that is about to store its lease.
 */
import { lstatSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { afterTurn } from '../../base/system.ts';
import { shown } from '../../base/shown.ts';
import { storeUnavailable } from '../../base/errors.ts';
import type { Logger } from '../../base/types.ts';
import {
  type LeaseRecords,
  type Mailboxes,
  messageText,
  type Receive,
} from '../shared/instances.ts';
import { type InstanceMessage, isEnded } from '../store.ts';
import { socketDanger } from './file-owners.ts';
import { SqliteMailbox } from './mailbox.ts';
import { socketPathOf, withShortPath } from './socket-paths.ts';
import type { StoreFile } from './store-file.ts';

/** An instance with more unread bytes counts as stuck. The relay's own credit is far below. */
const STUCK_BYTES = 67_108_864;

/** A connection, or why there is none; undefined: the instance has no lease. */
type Peer = Socket | NodeJS.ErrnoException | undefined;

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
  /** Connections that open or are open. */
  readonly #peers = new Map<string, Promise<Peer>>();

  constructor(options: SqliteMailboxesOptions) {
    this.#options = options;
  }

  async open(id: string, receive: Receive): Promise<string> {
    const mailbox = new SqliteMailbox(this.#pathOf(id), receive, this.#options.logger);
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

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const line = `${messageText(from, message)}\n`;
    const peer = await (this.#peers.get(to) ?? this.#opened(to));
    if (peer instanceof Socket) {
      if (peer.writableLength > STUCK_BYTES)
        throw storeUnavailable(
          `instance ${to} has not read ${peer.writableLength} bytes of messages`,
        );
      write(peer, line);
    } else if (peer === undefined || peer.code === 'ECONNREFUSED' || (await this.#hasLeft(to)))
      return 'suspect';
    // No file or no room: neither proves that the instance is dead.
    else
      this.#options.logger.warn(
        { instance: to, messages: 1, code: peer.code },
        'An instance that has a lease does not listen; messages to it are lost',
      );
    return 'sent';
  }

  close(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }

  /** Also of a view without a mailbox, such as that of a command. */
  closePeers(): void {
    for (const id of this.#peers.keys()) this.#closePeer(id);
  }

  /** Removes nothing but a socket. */
  forget(id: string): void {
    const path = this.#pathOf(id);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true)
      rmSync(path, { force: true });
    this.#closePeer(id);
  }

  /** Messages that were sent already are still written. */
  #closePeer(id: string): void {
    const closing = async (): Promise<void> => {
      const peer = await this.#peers.get(id);
      if (peer instanceof Socket) peer.destroySoon();
    };
    closing().catch(() => undefined);
    this.#peers.delete(id);
  }

  #pathOf(id: string): string {
    const { file, name } = this.#options;
    return socketPathOf(file.path, name, id);
  }

  /** The next message after a connection has failed or closed opens another. */
  #opened(id: string): Promise<Peer> {
    const opened = this.#connect(id);
    this.#peers.set(id, opened);
    const closed = (): void => {
      if (this.#peers.get(id) === opened) this.#peers.delete(id);
    };
    opened.then((peer) => (peer instanceof Socket ? peer.once('close', closed) : closed()), closed);
    return opened;
  }

  async #hasLeft(id: string): Promise<boolean> {
    const lease = await this.#options.leases.read(id);
    return lease === undefined || isEnded(lease);
  }

  async #connect(id: string): Promise<Peer> {
    if (await this.#hasLeft(id)) return undefined;
    const path = this.#pathOf(id);
    const danger = socketDanger(this.#options.file.path, path);
    if (danger !== undefined)
      throw storeUnavailable(
        `no message is sent to instance ${shown(id)}: its mailbox ${path} is not safe: ${danger}`,
      );
    return new Promise((resolve) => {
      const socket = new Socket().unref().on('error', resolve);
      try {
        // The path is used before `connect` returns.
        withShortPath(path, (short) => socket.connect(short, () => resolve(socket)));
      } catch (err) {
        return resolve(err as NodeJS.ErrnoException);
      }
      // The other instance never writes; reading notices when it closes.
      socket.resume();
    });
  }
}

/** The lines of one turn are sent together. */
function write(socket: Socket, line: string): void {
  if (socket.writableCorked === 0) {
    socket.cork();
    afterTurn(() => socket.uncork());
  }
  socket.write(line);
}
