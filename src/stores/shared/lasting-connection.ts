/**
 * A connection of a store to its server. It is opened when it is needed, and opened again after it was lost.
 *
 *     closed ──ready()──▶ connecting ──▶ open ──lost | no answer──▶ closed
 *                             ╰──fails──▶ closed, and no other try for PAUSE_MS
 *
 * Statements are sent without waiting for each other, and answered in order. A statement without an answer in time
 * means a frozen server or a broken network: the connection is given up, and every pending statement has an unknown
 * outcome. It may still run on the server. Then it changes nothing that was changed since (`kernel/backend.ts`).
 */
import { keepingProcess } from '../../base/system.ts';
import { SojournError } from '../../base/errors.ts';
import type { Deadlines } from './deadlines.ts';
import { storeClosed } from './failures.ts';

/** The pause after a failed connection attempt: requests come by the thousand. */
const PAUSE_MS = 50;

/** How the client package of a store makes and ends its connections. */
export interface Connector<Client> {
  /** The server, for errors; without credentials. */
  readonly where: string;
  /** How long an answer may take. */
  readonly deadlines: Deadlines;
  /** How long a connection may take to open, and to close. */
  readonly connectMs: number;
  /** A client for the current address of the server, not connected. */
  make(): Client | Promise<Client>;
  /** Connects and prepares it for its first use. `broke` is for errors that no statement reports. */
  connect(client: Client, broke: (error: unknown) => void): Promise<unknown>;
  /** Closes it once everything that was sent is answered. */
  end(client: Client): Promise<unknown>;
  destroy(client: Client): void;
  /** Converts it to a store error. */
  failure(error: unknown): Error;
  /** Whether the connection is of no use after this answer. */
  isFatal(error: unknown, client: Client): boolean;
  /** Statements are pending from now on, or none is. */
  busy?(client: Client, isBusy: boolean): void;
  opened?(): void;
  /** An open connection was lost; not by `close`. */
  lost?(): void;
}

export class LastingConnection<Client> {
  readonly where: string;
  readonly #connector: Connector<Client>;
  /** Statements that the open connection has not answered. */
  #pending = 0;
  /** Set while the connection is open. */
  #client: Client | undefined;
  #connecting: Promise<Client> | undefined;
  /** Why there is no connection. */
  #cause: Error;
  #pausedUntil = -Infinity;
  #isClosed = false;

  constructor(connector: Connector<Client>) {
    const { where } = connector;
    this.where = where;
    this.#connector = connector;
    this.#cause = storeClosed(where);
  }

  get isOpen(): boolean {
    return this.#client !== undefined;
  }

  /** Opens the connection unless it is open. */
  ready(): Promise<Client> {
    if (this.#client !== undefined) return Promise.resolve(this.#client);
    return (this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined)));
  }

  /** `send` is called with an open connection, in the order of the calls. Rejects with a store error. */
  ask<T>(send: (client: Client) => Promise<T>): Promise<T> {
    const client = this.#client;
    return client === undefined
      ? this.ready().then((opened) => this.#ask(opened, send))
      : this.#ask(client, send);
  }

  /** Closes at once. The next statement opens another connection. */
  destroy(cause: Error): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#client = undefined;
    this.#cause = cause;
    this.#connector.destroy(client);
    this.#connector.lost?.();
  }

  /** Pending statements are still answered, if the server answers in time. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#connecting?.catch(() => undefined);
    const client = this.#client;
    this.#client = undefined;
    this.#cause = storeClosed(this.where);
    if (client === undefined) return;
    const { deadlines, connectMs, end, destroy } = this.#connector;
    // An idle connection does not keep the process alive.
    await keepingProcess(() => deadlines.answered(this.where, end(client), connectMs)).catch(
      () => undefined,
    );
    destroy(client);
  }

  #ask<T>(client: Client, send: (client: Client) => Promise<T>): Promise<T> {
    if (client !== this.#client) return Promise.reject(this.#cause);
    const { deadlines, busy } = this.#connector;
    if ((this.#pending += 1) === 1) busy?.(client, true);
    return deadlines.answered(this.where, send(client)).then(
      (answer) => {
        this.#answered(client);
        return answer;
      },
      (error: unknown) => {
        this.#answered(client);
        throw this.#failure(client, error);
      },
    );
  }

  #answered(client: Client): void {
    if (client === this.#client && (this.#pending -= 1) === 0)
      this.#connector.busy?.(client, false);
  }

  #failure(client: Client, error: unknown): Error {
    // The connection was given up while this statement was pending: report the cause of that.
    if (client !== this.#client) return this.#cause;
    const failure = this.#connector.failure(error);
    // An error of ours is that there was no answer in time.
    if (error instanceof SojournError || this.#connector.isFatal(error, client))
      this.destroy(failure);
    return failure;
  }

  async #open(): Promise<Client> {
    const { where, deadlines, connectMs, make, connect, destroy, failure, busy, opened } =
      this.#connector;
    if (this.#isClosed) throw storeClosed(where);
    if (deadlines.now() < this.#pausedUntil) throw this.#cause;
    let client: Client | undefined;
    let over: Error | undefined;
    const connecting = async (): Promise<Client> => {
      const made = await make();
      if (over !== undefined) throw over;
      client = made;
      await connect(made, (error) => {
        if (made === this.#client) this.destroy(failure(error));
        else over ??= failure(error);
      });
      return made;
    };
    try {
      const connected = await deadlines.answered(where, connecting(), connectMs);
      if (this.#isClosed) over ??= storeClosed(where);
      if (over !== undefined) throw over;
      this.#client = connected;
      this.#pending = 0;
      busy?.(connected, false);
      opened?.();
      return connected;
    } catch (error) {
      over = failure(error);
      if (client !== undefined) destroy(client);
      this.#pausedUntil = deadlines.now() + PAUSE_MS;
      this.#cause = over;
      throw over;
    }
  }
}
