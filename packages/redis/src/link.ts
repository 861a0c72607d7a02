/** How the store connects to a server: for commands, or for subscriptions. */
import { KeptConnection, type Deadlines } from 'sojourn/store-kit';
import { CONNECT_MS, destroyClient, type RedisClient, type Reply } from './client.ts';
import { redisFailure, replyCode } from './failures.ts';

/** This server cannot serve the store any more, but another one may. The next connection finds out which. */
const WRONG_SERVER = ['READONLY', 'MASTERDOWN'];

export interface LinkSettings {
  /** How long a reply may take. */
  readonly deadlines: Deadlines;
  /** A usable connection has broken. */
  lost?(): void;
}

export interface RedisLinkOptions extends LinkSettings {
  /** For messages; without credentials. */
  readonly where: string;
  /** A client for the server's current address, not connected yet. */
  make(): RedisClient | Promise<RedisClient>;
  /** Prepares a new connection before its first use. */
  setUp(client: RedisClient): Promise<unknown>;
}

export class RedisLink extends KeptConnection<RedisClient> {
  constructor({ where, deadlines, make, setUp, lost }: RedisLinkOptions) {
    super({
      where,
      deadlines,
      connectMs: CONNECT_MS,
      make,
      async connect(client, broke) {
        client.on('error', broke);
        await client.connect();
        await setUp(client);
      },
      end: (client) => client.close(),
      destroy: destroyClient,
      failure: (error) => redisFailure(where, error),
      isFatal: (error, client) => !client.isReady || WRONG_SERVER.includes(replyCode(error) ?? ''),
      ...(lost && { lost }),
    });
  }

  /** `lua`: the script that the command runs by its hash; a server without the script gets its text. */
  command(args: readonly string[], lua?: string): Promise<Reply> {
    const sent = this.ask((client) => client.sendCommand(args) as Promise<Reply>);
    if (lua === undefined) return sent;
    return sent.catch((error: unknown) => {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return this.command(withText(args, lua));
    });
  }
}

/** The command that runs a script by its text, for one that runs it by its hash. */
export const withText = (args: readonly string[], lua: string): string[] => ['EVAL', lua, ...args.slice(2)];
