/**
 * Event ids, opaque to clients: `tag-epoch-stream-offset`, numbers in base 36. The tag is a hash of the session id: an id of
 * another session's stream is recognised and refused. The epoch is that of the owner who sent the event, so a position in
 * a stream that was lost and made again is not mistaken for one in the new stream.
 */

export interface EventPosition {
  readonly tag: string;
  readonly epoch: number;
  readonly stream: string;
  readonly offset: number;
}

/** The key of every session's GET stream; POST streams are named `p…`. */
export const GET_STREAM = 'g';

const PATTERN = /^([0-9a-z]{1,11})-([0-9a-z]{1,8})-(g|p[0-9a-z]{1,8}x[0-9a-z]{1,8})-([0-9a-z]{1,10})$/;

/** FNV-1a over two lanes: 62 bits are far more than telling sessions apart needs, and no secret. */
export function sessionTag(id: string): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b) + i;
  }
  return ((a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff)).toString(36);
}

/** What the ids of one owner's session begin with. */
export function eventPrefix(tag: string, epoch: number): string {
  return `${tag}-${epoch.toString(36)}-`;
}

export function formatEventId(prefix: string, stream: string, offset: number): string {
  return `${prefix}${stream}-${offset.toString(36)}`;
}

export function parseEventId(text: string): EventPosition | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [, tag = '', epoch = '', stream = '', offset = ''] = match;
  return { tag, epoch: parseInt(epoch, 36), stream, offset: parseInt(offset, 36) };
}

/** Has no digit `x`. */
const KEY_RADIX = 33;

/** POST streams are numbered per owner, so that two owners never give one name. */
export function postStreamKey(epoch: number, n: number): string {
  return `p${epoch.toString(KEY_RADIX)}x${n.toString(KEY_RADIX)}`;
}

/** By owner, then by number: the order in which they were opened. */
export function comparePostStreams(a: string, b: string): number {
  const [epochA, numberA] = placeOf(a);
  const [epochB, numberB] = placeOf(b);
  return epochA - epochB || numberA - numberB;
}

/** Of the owner that opened it. */
export function postStreamEpoch(key: string): number {
  return placeOf(key)[0];
}

function placeOf(key: string): [epoch: number, n: number] {
  const [epoch = '', n = ''] = key.slice(1).split('x');
  return [parseInt(epoch, KEY_RADIX), parseInt(n, KEY_RADIX)];
}
