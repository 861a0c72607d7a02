import type { TimeProvider } from '../types.ts';
import type { Exchange } from './exchange.ts';
import type { HeldHeads } from './held-heads.ts';
import type { KeepAlive } from './keep-alive.ts';
import type { LargeAnswers } from './large-answers.ts';
import type { CallReader } from './reader.ts';
import type { StreamExpiry } from './stream-expiry.ts';

/**
 * The response to a request on a session. `post`, and `resumed` where the client comes back for what follows the end of
 * the stream. `get`: it answers no request. `json`, `batch`: `responseMode: 'json'`.
 */
export type SessionResponse = 'post' | 'resumed' | 'get' | 'json' | 'batch';

/** What responses of one kind have in common. */
export interface ResponsePolicy {
  /** The instances of a deployment name the policy so to each other. Absent: no session. */
  readonly onSession?: SessionResponse;
  /**
   * `auto`: an answer before which nothing was sent is a JSON body, everything else events. `json`: one answer as a
   * JSON body. `batch`: several, as an array.
   */
  readonly form: 'events' | 'auto' | 'json' | 'batch';
  readonly keepAlive: KeepAlive;
  /**
   * Bytes that may wait for a slow reader. Above this limit the connection is cut; the client can resume from the log.
   */
  readonly bufferBytes: number;
  /** An answer above 1 MiB, before which nothing was sent, is the body of the response (`large-answers.ts`). */
  readonly largeAsJson?: boolean;
  /** Notes answers above 1 MiB that are sent as events. */
  readonly largeAnswers?: LargeAnswers;
  /** Holds heads of answers that the store must take first. */
  readonly heldHeads?: HeldHeads;
  /** The head waits this long for an answer that may choose the status. */
  readonly headWait?: { readonly time: TimeProvider; readonly ms: number };
  /** Continues the response with the next owner of the session. Its client can resume after an id. */
  readonly handOff?: (exchange: Exchange, reader: CallReader) => void;
  /** Ends the stream with the token of its caller. */
  readonly expiry?: StreamExpiry | undefined;
}
