/**
 * One connection that is kept open: it is replaced when it breaks or the server stops answering.
 *
 *     connecting ──▶ usable ──breaks──▶ connecting ──fails──▶ away ──retry succeeds──▶ usable
 *         │             ╰──no reply within limitMs──────────▶ away
 *         ╰─ fails in `open`: `open` rejects and nothing is retried
 *
 * Commands sent during the first reconnect wait for it. While the link is away they fail at once. A command without a
 * reply after `limitMs` means a frozen server or a broken network: every pending command fails with an unknown outcome,
 * and the connection is given up.
 */
import {
  Deadlines,
  PendingReplies,
  backoffMs,
  elapse,
  noAnswer,
  storeClosed,
  tooMuchPending,
  within,
  type RandomSource,
} from 'sojourn/store-kit';
import { destroyClient, type RedisClient, type Reply } from './client.ts';
import { redisFailure, replyCode } from './failures.ts';

/** A connection that takes longer than this to open counts as failed. */
export const CONNECT_MS = 2_000;
const FIRST_PAUSE_MS = 20;
/** A server that is back is soon noticed, and a refused attempt costs little. */
const LONGEST_PAUSE_MS = 200;
/**
 * The size of all commands without a reply above which more are refused: a silent server must not fill this process's
 * memory.
 */
const MAX_PENDING_BYTES = 67_108_864;
/** The overhead of a command besides its arguments. */
const COMMAND_BYTES = 500;

/** This server cannot serve the store any more, but another one may. The next connection finds out which. */
const WRONG_SERVER = ['READONLY', 'MASTERDOWN'];

export interface LinkSettings {
  readonly random: RandomSource;
  /** How long a reply may take. */
  readonly deadlines: Deadlines;
  /** A usable connection has broken. */
  lost?(): void;
}

export interface RedisLinkOptions extends LinkSettings {
  /** For messages; without credentials. */
  readonly where: string;
  /** A client for the server's current address, not connected yet. */
  make(connectMs: number): Promise<RedisClient>;
  /** Prepares a new connection before its first use. */
  setUp(client: RedisClient): Promise<void>;
}

export class RedisLink {
  readonly #options: RedisLinkOptions;
  /** Set while the connection is usable. */
  #client: RedisClient | undefined;
  /** The first connection attempt since the connection broke. */
  #connecting: Promise<void> | undefined;
  #cause: Error;
  #begun = false;
  #closed = false;
  /** The size of the commands without a reply. */
  #bytes = 0;
  readonly #pending: PendingReplies;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#cause = storeClosed(options.where);
    const { deadlines, where } = options;
    this.#pending = new PendingReplies(deadlines, () => {
      if (this.#client !== undefined) this.#broke(this.#client, noAnswer(where, deadlines.limitMs), false);
    });
  }

  get where(): string {
    return this.#options.where;
  }

  /** The first connection; if it fails, nothing is left open. */
  async open(): Promise<void> {
    this.#begun = true;
    try {
      await this.#connect();
    } catch (error) {
      this.#closed = true;
      throw error;
    }
  }

  /** Connects in the background; commands wait for the first attempt. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    void this.#keepTrying(true);
  }

  /** `ask` is called with a usable connection, in the order of the calls; failures become store errors. */
  send<T>(ask: (client: RedisClient) => Promise<T>, bytes = 0): Promise<T> {
    this.#bytes += bytes;
    if (this.#connecting === undefined) return this.#ask(ask, bytes);
    return this.#connecting.then(
      () => this.#ask(ask, bytes),
      (error: unknown) => {
        this.#bytes -= bytes;
        throw error;
      },
    );
  }

  /**
   * Sends a command, in the same order. `lua`: the script that it runs by hash; a server without the script gets its
   * text.
   */
  command(args: readonly string[], lua?: string): Promise<Reply> {
    if (this.#bytes > MAX_PENDING_BYTES) return Promise.reject(tooMuchPending(this.where, this.#bytes));
    const sent = this.send((client) => client.sendCommand(args) as Promise<Reply>, bytesOf(args));
    if (lua === undefined) return sent;
    return sent.catch((error: unknown) => {
      if (replyCode((error as Error).cause ?? {}) !== 'NOSCRIPT') throw error;
      return this.command(['EVAL', lua, ...args.slice(2)]);
    });
  }

  /** Replaces the connection, because it leads to the wrong server. */
  renew(cause: Error): void {
    const client = this.#client;
    if (client !== undefined) this.#broke(client, cause, true);
  }

  /** Waits for the replies to earlier commands, up to a limit. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cause = storeClosed(this.where);
    const { time } = this.#options.deadlines;
    this.#pending.stop();
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    const closed = client.close().catch(() => undefined);
    await within(time, CONNECT_MS, closed, () => undefined);
    destroyClient(client);
  }

  #ask<T>(ask: (client: RedisClient) => Promise<T>, bytes: number): Promise<T> {
    const client = this.#client;
    if (client === undefined) {
      this.#bytes -= bytes;
      return Promise.reject(this.#cause);
    }
    this.#pending.sent();
    return ask(client).then(
      (reply) => {
        this.#bytes -= bytes;
        if (client === this.#client) this.#pending.received();
        return reply;
      },
      (error: unknown) => {
        this.#bytes -= bytes;
        if (client === this.#client) this.#pending.received();
        throw this.#failure(client, error);
      },
    );
  }

  #failure(client: RedisClient, error: unknown): Error {
    // The connection was given up while this command was pending: report the cause of that.
    if (client !== this.#client) return this.#cause;
    const failure = redisFailure(this.where, error);
    if (!client.isReady || WRONG_SERVER.includes(replyCode(error) ?? '')) this.#broke(client, failure, true);
    return failure;
  }

  #broke(client: RedisClient, cause: Error, patient: boolean): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#cause = cause;
    this.#pending.clear();
    destroyClient(client);
    this.#options.lost?.();
    void this.#keepTrying(patient);
  }

  /** Until the link is closed: every command fails until there is a connection, and no caller makes one. */
  async #keepTrying(patient: boolean): Promise<void> {
    const { deadlines, random } = this.#options;
    for (let tries = 0; !this.#closed; tries++) {
      const connecting = this.#connect();
      if (tries === 0 && patient) this.#connecting = connecting;
      try {
        await connecting;
        return;
      } catch (error) {
        this.#cause = error as Error;
      } finally {
        this.#connecting = undefined;
      }
      await elapse(deadlines.time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random));
    }
  }

  async #connect(): Promise<void> {
    const { deadlines, make, setUp, where } = this.#options;
    let late: Error | undefined;
    let client: RedisClient | undefined;
    const connecting = async (): Promise<RedisClient> => {
      const made = await make(CONNECT_MS);
      client = made;
      made.on('error', (error: Error) => this.#broke(made, redisFailure(where, error), true));
      if (late !== undefined) throw late;
      await made.connect();
      await setUp(made);
      return made;
    };
    try {
      const connected = await new Deadlines(deadlines.time, CONNECT_MS).limit(
        connecting(),
        () => (late = noAnswer(where, CONNECT_MS)),
      );
      if (this.#closed) throw storeClosed(where);
      this.#client = connected;
    } catch (error) {
      if (client !== undefined) destroyClient(client);
      throw redisFailure(where, error);
    }
  }
}

function bytesOf(args: readonly string[]): number {
  let bytes = COMMAND_BYTES;
  for (const arg of args) bytes += arg.length;
  return bytes;
}
