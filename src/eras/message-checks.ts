/** What the messages of a body say, before their era is known. */
import { PROTOCOL_VERSION_META_KEY, type RequestId } from '@modelcontextprotocol/server';
import { batchNotAllowed, invalidRequest, type SojournError } from '../errors.ts';
import { checkMessage, type Checked, isObject } from '../protocol/jsonrpc.ts';
import { quoted } from '../shown.ts';

/** Checks a batch of at most `most` messages by itself. Whether its session allows batches is checked later. */
export function checkBatch(body: readonly unknown[], most: number): Checked[] | SojournError {
  if (body.length === 0) return batchNotAllowed('an empty batch');
  if (body.length > most) {
    return batchNotAllowed(`a batch of ${body.length} messages; ${most} are allowed (limits.batch)`);
  }
  const messages: Checked[] = [];
  const ids = new Set<RequestId>();
  for (const element of body) {
    const checked = checkMessage(element);
    if (checked.kind === 'invalid') return invalidRequest(`in the batch: ${checked.why}`);
    if (checked.kind === 'request') {
      if (checked.message.method === 'initialize') return batchNotAllowed('initialize cannot be in a batch');
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

/** The protocol version in a message's envelope, of any type; `undefined`: no envelope. */
export function claimedVersion(checked: Checked | undefined): unknown {
  if (checked?.kind !== 'request' && checked?.kind !== 'notification') return undefined;
  const meta = checked.message.params?.['_meta'];
  return isObject(meta) ? meta[PROTOCOL_VERSION_META_KEY] : undefined;
}

/** The version that an `initialize` requests. */
export function handshakeVersion(checked: Checked): string | undefined {
  if (checked.kind !== 'request' || checked.message.method !== 'initialize') return undefined;
  const requested = checked.message.params?.['protocolVersion'];
  return typeof requested === 'string' ? requested : undefined;
}
