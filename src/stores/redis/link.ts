/**
 * One connection that is kept: made anew whenever it breaks or goes silent.
 *
 *     connecting ──▶ usable ──broke──▶ connecting ──failed──▶ away ──tried again──▶ usable
 *         │             ╰──silent for too long──────────────▶ away
 *         ╰─ refused at `open`: that rejects, nothing is tried again
 *
 * What is asked while it is connecting for the first time since it broke waits for that; while it is away it fails at once.
 * Whatever has no answer after `limitMs` means a server that stands still or a link that nothing passes: everything under
 * way fails with an unknown outcome, and the connection is given up.
 */
import type { RandomSource } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';
import { Awaited, monotonic } from './awaited.ts';
import type { RedisClient, Reply } from './client.ts';
import { noAnswer, redisFailure, replyCode, storeClosed, tooMuchWaits } from './failures.ts';

/** A connection is made within this, or the server counts as away. */
export const CONNECT_MS = 2_000;
/** Between tries to connect: a part of the outage so far, so a short outage costs little more and a long one few tries. */
const PAUSE_PART = 1 / 16;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;
/** Of commands without an answer, past which more are refused: a server that answers no more must not fill this process. */
const MOST_BYTES = 67_108_864;
/** What a command takes besides its arguments. */
const COMMAND_BYTES = 500;

/** It cannot serve us any more, somebody else may: where that is is found out when connecting. */
const ELSEWHERE = ['READONLY', 'MASTERDOWN'];

export interface LinkSettings {
  readonly time: TimeProvider;
  readonly random: RandomSource;
  /** How long an answer may take. */
  limitMs(): number;
}

export interface LinkOptions extends LinkSettings {
  /** For messages; without credentials. */
  readonly where: string;
  /** A client for wherever the server is now, not connected yet. */
  make(connectMs: number): Promise<RedisClient>;
  /** Before anybody uses it. */
  setUp(client: RedisClient): Promise<void>;
  /** It was usable, and is not any more. */
  lost?(): void;
}

export class Link {
  readonly #options: LinkOptions;
  /** Usable. */
  #client: RedisClient | undefined;
  /** The first try since it broke. */
  #connecting: Promise<void> | undefined;
  #cause: Error;
  #begun = false;
  #closed = false;
  /** Of commands that have no answer yet. */
  #bytes = 0;
  readonly #awaited: Awaited;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#cause = storeClosed(options.where);
    const { time, limitMs, where } = options;
    this.#awaited = new Awaited(time, limitMs, () => {
      if (this.#client !== undefined) this.#broke(this.#client, noAnswer(where, limitMs()), false);
    });
  }

  get where(): string {
    return this.#options.where;
  }

  /** The first connection; when that fails nothing stays behind. */
  async open(): Promise<void> {
    this.#begun = true;
    try {
      await this.#connect();
    } catch (error) {
      this.#closed = true;
      throw error;
    }
  }

  /** Connects in the background; what is asked meanwhile waits for the first try. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    void this.#keepTrying(true);
  }

  /** `ask` is called with a usable connection, in the order of asking; a failure is told as the store's. */
  send<T>(ask: (client: RedisClient) => Promise<T>): Promise<T> {
    if (this.#connecting !== undefined) return this.#connecting.then(() => this.#ask(ask));
    return this.#ask(ask);
  }

  /** A command in the same order. `lua`: the script that it runs by its hash; a server that does not have it gets it. */
  command<T>(args: readonly string[], read: (reply: Reply) => T, lua?: string): Promise<T> {
    if (this.#bytes > MOST_BYTES) return Promise.reject(tooMuchWaits(this.where, this.#bytes));
    const bytes = bytesOf(args);
    this.#bytes += bytes;
    const connecting = this.#connecting;
    const answer =
      connecting === undefined ? this.#command(args, read, lua) : connecting.then(() => this.#command(args, read, lua));
    const settled = (): void => void (this.#bytes -= bytes);
    answer.then(settled, settled);
    return answer;
  }

  #command<T>(args: readonly string[], read: (reply: Reply) => T, lua?: string): Promise<T> {
    const client = this.#client;
    if (client === undefined) return Promise.reject(this.#cause);
    this.#awaited.asked();
    return client.sendCommand(args).then(
      (reply) => {
        if (client === this.#client) this.#awaited.answered();
        return read(reply as Reply);
      },
      (error: unknown) => {
        if (client === this.#client) this.#awaited.answered();
        if (lua !== undefined && replyCode(error) === 'NOSCRIPT')
          return this.#command(['EVAL', lua, ...args.slice(2)], read);
        throw this.#failure(client, error);
      },
    );
  }

  /** Gives the connection up and makes another: this one leads to the wrong place. */
  renew(cause: Error): void {
    const client = this.#client;
    if (client !== undefined) this.#broke(client, cause, true);
  }

  /** What was asked before is answered first, if that does not take too long. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cause = storeClosed(this.where);
    const { time } = this.#options;
    this.#awaited.stop();
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    let timer: unknown;
    const late = new Promise<void>((done) => (timer = time.setTimeout(done, CONNECT_MS)));
    await Promise.race([client.close().catch(() => undefined), late]);
    time.clearTimeout(timer);
    client.destroy();
  }

  #ask<T>(ask: (client: RedisClient) => Promise<T>): Promise<T> {
    const client = this.#client;
    if (client === undefined) return Promise.reject(this.#cause);
    this.#awaited.asked();
    return ask(client).then(
      (reply) => {
        if (client === this.#client) this.#awaited.answered();
        return reply;
      },
      (error: unknown) => {
        if (client === this.#client) this.#awaited.answered();
        throw this.#failure(client, error);
      },
    );
  }

  #failure(client: RedisClient, error: unknown): Error {
    // What was under way when the connection was given up knows no better.
    if (client !== this.#client) return this.#cause;
    const failure = redisFailure(this.where, error);
    if (!client.isReady || ELSEWHERE.includes(replyCode(error) ?? '')) this.#broke(client, failure, true);
    return failure;
  }

  #broke(client: RedisClient, cause: Error, patient: boolean): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#cause = cause;
    this.#awaited.clear();
    client.destroy();
    this.#options.lost?.();
    void this.#keepTrying(patient);
  }

  async #keepTrying(patient: boolean): Promise<void> {
    const since = monotonic(this.#options.time);
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
      await this.#pause(since);
    }
  }

  /** The longest of it is random by half: instances do not come all at once. */
  #pause(since: number): Promise<void> {
    const { time, random } = this.#options;
    const part = (monotonic(time) - since) * PAUSE_PART;
    const longest = Math.min(Math.max(part, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    const [byte = 0] = random(1);
    return new Promise((done) => void time.setTimeout(done, (longest * (256 + byte)) / 512));
  }

  async #connect(): Promise<void> {
    const { time, make, setUp, where } = this.#options;
    let late = false;
    let client: RedisClient | undefined;
    let giveUp: (error: Error) => void = () => undefined;
    const tooLate = new Promise<never>((_, reject) => (giveUp = reject));
    const timer = time.setTimeout(() => {
      late = true;
      client?.destroy();
      giveUp(noAnswer(where, CONNECT_MS));
    }, CONNECT_MS);
    const connecting = async (): Promise<RedisClient> => {
      const made = await make(CONNECT_MS);
      client = made;
      made.on('error', (error: Error) => this.#broke(made, redisFailure(where, error), true));
      if (late) throw noAnswer(where, CONNECT_MS);
      await made.connect();
      await setUp(made);
      return made;
    };
    try {
      const connected = await Promise.race([connecting(), tooLate]);
      if (this.#closed) throw storeClosed(where);
      this.#client = connected;
    } catch (error) {
      client?.destroy();
      throw late ? noAnswer(where, CONNECT_MS) : redisFailure(where, error);
    } finally {
      time.clearTimeout(timer);
    }
  }
}

function bytesOf(args: readonly string[]): number {
  let bytes = COMMAND_BYTES;
  for (const arg of args) bytes += arg.length;
  return bytes;
}
