/**
 * The one place that asks who a client is. Each row names a client with a bug, what is done differently for it, and
 * why; `docs/internals/clients.md` has its faults. Everything else is the same for every client.
 * A line of the log at debug level says when a row applies.
 */
import type { Implementation } from '@modelcontextprotocol/server';

/**
 * `clean-end`: a stream that the client resumed after a break ends once more, cleanly, and the client resumes again.
 * `answer-on-get`: the answer of a call whose stream broke is sent on the GET stream too.
 * `early-head`: the stream of a 2026-07-28 request begins before its first message, with an event id.
 */
export type Quirk = 'clean-end' | 'answer-on-get' | 'early-head';

export interface KnownClient {
  readonly name: string;
  /** Matches the `User-Agent` header. */
  readonly userAgent?: RegExp;
  /** Matches `clientInfo.name`. */
  readonly clientName?: RegExp;
  /** Negotiated, or later. */
  readonly protocol: string;
  readonly quirk: Quirk;
  readonly why: string;
  /** The first version of the client that it was measured with. */
  readonly since: string;
  /** The title of its test, in `known.test.ts`. */
  readonly test: string;
}

export const KNOWN_CLIENTS: readonly KnownClient[] = [
  {
    name: 'Python SDK',
    // `python-httpx2/` from mcp 2.x on.
    userAgent: /^python-httpx2?\//,
    // Earlier revisions: TypeScript 1.17 and its like never come back after a clean end.
    protocol: '2025-11-25',
    quirk: 'clean-end',
    why: 'It counts breaks and gives a stream up at the second. Only a clean end sets the counter back.',
    since: 'mcp 1.30',
    test: 'a Python client survives a stream that breaks again and again',
  },
  {
    name: 'Python SDK',
    userAgent: /^python-httpx2?\//,
    protocol: '2026-07-28',
    quirk: 'early-head',
    why: 'A connection that breaks before the head ends the whole client. After a later break it comes back with the id.',
    since: 'mcp 2.3',
    test: 'the stream of a 2026-07-28 call of a Python client begins early',
  },
  {
    name: 'AI SDK',
    clientName: /^ai-sdk-mcp-client$/,
    protocol: '2025-03-26',
    quirk: 'answer-on-get',
    why: 'It never resumes the stream of a call and has no timeout, so that the call hangs for ever.',
    since: '@ai-sdk/mcp 1.0',
    test: 'the answer of a call whose stream broke reaches the GET stream of the AI SDK',
  },
  {
    name: 'VS Code',
    clientName: /^Visual Studio Code( - Insiders)?$/,
    protocol: '2025-03-26',
    quirk: 'answer-on-get',
    why: 'It never resumes the stream of a call and has no timeout, so that the call hangs for ever.',
    since: '1.106',
    test: 'the answer of a call whose stream broke reaches the GET stream of VS Code',
  },
];

/** What is known of a client before a quirk is applied. */
export interface ClientFacts {
  readonly userAgent?: string | undefined;
  readonly clientInfo: Pick<Implementation, 'name'>;
  readonly protocol: string;
}

/** The row by which this client has the quirk. */
export function knownClient(
  quirk: Quirk,
  { userAgent, clientInfo, protocol }: ClientFacts,
): KnownClient | undefined {
  return KNOWN_CLIENTS.find(
    (known) =>
      known.quirk === quirk &&
      protocol >= known.protocol &&
      (known.userAgent?.test(userAgent ?? '') ?? true) &&
      (known.clientName?.test(clientInfo.name) ?? true),
  );
}
