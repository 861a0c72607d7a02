/**
 * Whether the SDK accepts a message as 2026-07-28. The SDK validates the whole message and its envelope with schemas,
 * which is a twentieth of the CPU of a small call. All requests of one client have the same envelope, so accepted
 * envelopes are remembered. The SDK does not check a request again whose envelope it has accepted: `checkMessage` has
 * judged the members that differ.
 */
import {
  classifyInboundRequest,
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { BoundedMap } from '../../base/bounded-map.ts';
import { refusedBySdk, type SojournError, unsupportedVersion } from '../../base/errors.ts';
import type { Exchange } from '../../http/exchange.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { SentRpc } from './sessionless-call.ts';

const ACCEPTED_KEPT = 1_000;
/** Longer envelopes are checked each time. */
const LONGEST = 4_096;

const META: ReadonlySet<string> = new Set([
  PROTOCOL_VERSION_META_KEY,
  CLIENT_INFO_META_KEY,
  CLIENT_CAPABILITIES_META_KEY,
  'progressToken',
]);

/** `legacy`: a message of an earlier revision. */
export type Classified = 'modern' | 'legacy' | SojournError;

export class ModernEnvelopes {
  /** Accepted envelopes by version, client and capabilities, as JSON. */
  readonly #accepted = new BoundedMap<string, true>(ACCEPTED_KEPT);
  readonly #versions: readonly string[];

  /** `versions`: the revisions of this era that are served. */
  constructor(versions: readonly string[]) {
    this.#versions = versions;
  }

  /** `version`: what the message claims, or its header. */
  classify(
    caller: Pick<Exchange, 'header'>,
    sent: SentRpc,
    version: string,
    header: string | undefined,
  ): Classified {
    const meta = sent.message.params?.['_meta'];
    if (
      sent.kind !== 'request' ||
      roleOf(sent.message.method) === 'handshake' ||
      !isObject(meta) ||
      !isPlain(meta)
    )
      return this.#ask(caller, sent, version, header);
    const key = JSON.stringify([
      version,
      meta[CLIENT_INFO_META_KEY],
      meta[CLIENT_CAPABILITIES_META_KEY],
    ]);
    if (this.#accepted.get(key) !== undefined && meta[PROTOCOL_VERSION_META_KEY] === version)
      return 'modern';
    const found = this.#ask(caller, sent, version, header);
    if (found === 'modern' && key.length <= LONGEST) this.#accepted.set(key, true);
    return found;
  }

  #ask(
    caller: Pick<Exchange, 'header'>,
    { message }: SentRpc,
    version: string,
    header: string | undefined,
  ): Classified {
    const method = caller.header('mcp-method');
    const outcome = classifyInboundRequest({
      httpMethod: 'POST',
      ...(header !== undefined && { protocolVersionHeader: header }),
      ...(method !== undefined && { mcpMethodHeader: method }),
      body: message,
    });
    if (outcome.kind === 'reject') return refusedBySdk(outcome);
    if (outcome.kind === 'legacy') return 'legacy';
    return this.#versions.includes(version)
      ? 'modern'
      : unsupportedVersion(version, this.#versions);
  }
}

/** Whether it has only the members that most envelopes have. The headers that mirror the request were compared before. */
function isPlain(meta: Readonly<Record<string, unknown>>): boolean {
  for (const member in meta) if (!META.has(member)) return false;
  return true;
}
