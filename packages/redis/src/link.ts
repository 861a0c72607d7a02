/** How the store connects to a server: for commands, or for subscriptions. */
import { LastingConnection, type Deadlines, type MaybePromise } from 'sojourn/internal';
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

export class RedisLink extends LastingConnection<RedisClient> {
  /**
   * `where`: for messages; without credentials. `make`: a client for the server's current address, not connected yet.
   * `setUp` prepares a new connection before its first use.
   */
  constructor(
    { deadlines, lost }: LinkSettings,
    where: string,
    make: () => MaybePromise<RedisClient>,
    setUp: (client: RedisClient) => Promise<unknown>,
  ) {
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

  command(args: readonly string[]): Promise<Reply> {
    return this.ask((client) => client.sendCommand<Reply>(args));
  }
}
