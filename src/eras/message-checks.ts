/** What a body holds, and what its messages say, before their era is known. */
import type { RequestId } from '@modelcontextprotocol/server';
import {
  batchNotAllowed,
  invalidRequest,
  parseError,
  SojournError,
  subscriptionsTooLarge,
} from '../base/errors.ts';
import type { RefusedBody } from '../http/body.ts';
import type { Exchange } from '../http/exchange.ts';
import { type PostBody, postOf } from '../session/inbound/inbound.ts';
import type { Notices } from '../base/observe/notices.ts';
import {
  checkMessage,
  type Checked,
  claimedVersion,
  echoId,
  isObject,
  type RpcRequest,
} from '../base/protocol/jsonrpc.ts';
import { roleOf } from '../base/protocol/methods.ts';
import { keptClient, keptText, quoted } from '../base/shown.ts';
import { countedBytes, SUBSCRIPTION_BYTES } from '../session/record/subscriptions.ts';

/** Messages of one batch, which only clients of 2025-03-26 send. */
const BATCH = 50;

/** The messages of a body, or why it is refused. */
export function readMessages(exchange: Exchange, text: string): PostBody | RefusedBody {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { error: parseError('the body is not JSON'), id: null };
  }
  const batch = Array.isArray(body);
  const messages = batch ? checkBatch(body as unknown[]) : checkOne(body);
  if (messages instanceof SojournError) return { error: messages, id: echoId(body) };
  // A batch is known by its first message.
  const [first] = messages;
  if (first?.kind === 'request' || first?.kind === 'notification')
    exchange.watched?.carries(first.message.method, first.message.params);
  return postOf(messages, batch, text);
}

function checkOne(body: unknown): Checked[] | SojournError {
  const checked = checkMessage(body);
  return checked.kind === 'invalid' ? invalidRequest(checked.why) : [checked];
}

/** Checks a batch by itself. Whether its session allows batches is checked later. */
function checkBatch(body: readonly unknown[]): Checked[] | SojournError {
  if (body.length === 0) return batchNotAllowed('an empty batch');
  if (body.length > BATCH)
    return batchNotAllowed(`a batch of ${body.length} messages; ${BATCH} are allowed`);
  const messages: Checked[] = [];
  const ids = new Set<RequestId>();
  for (const element of body) {
    const checked = checkMessage(element);
    if (checked.kind === 'invalid') return invalidRequest(`in the batch: ${checked.why}`);
    if (checked.kind === 'request') {
      if (roleOf(checked.message.method) === 'handshake')
        return batchNotAllowed('initialize cannot be in a batch');
      if (ids.has(checked.message.id))
        return batchNotAllowed(`the id ${quoted(checked.message.id)} is in the batch twice`);
      ids.add(checked.message.id);
    }
    if (claimedVersion(checked) !== undefined)
      return batchNotAllowed('batches are not part of protocol revision 2026-07-28');
    messages.push(checked);
  }
  return messages;
}

/** After this many names every client is new again: a client may choose a new name each time. */
const CLIENTS = 256;

/** `info`: what the client of a request states about itself. */
export type NoteClient = (info: unknown, protocolVersion: string) => void;

/** Emits a notice for each client without a session whose first request is admitted, by its name and version. */
export function seenClients(notices: Notices): NoteClient {
  const versions = new Map<string, string>();
  return (info, protocolVersion) => {
    const clientInfo = keptClient(info);
    if (clientInfo === undefined) return;
    const { name, version } = clientInfo;
    if (versions.get(name) === version) return;
    if (versions.size >= CLIENTS) versions.clear();
    versions.set(name, version);
    notices.emit({
      kind: 'clientSeen',
      clientInfo,
      protocolVersion: keptText(protocolVersion),
    });
  };
}

/** The URIs of a `subscriptions/listen`, which are bounded as those of one session are. */
export function checkListen({ method, params }: RpcRequest): SojournError | undefined {
  const filter = roleOf(method) === 'listen' ? params?.['notifications'] : undefined;
  const uris: unknown = isObject(filter) ? filter['resourceSubscriptions'] : undefined;
  if (!Array.isArray(uris)) return undefined;
  let bytes = 0;
  for (const uri of uris as unknown[]) {
    bytes += countedBytes(uri);
    if (bytes > SUBSCRIPTION_BYTES) return subscriptionsTooLarge(SUBSCRIPTION_BYTES);
  }
  return undefined;
}
