/**
 * Event ids, opaque to clients: `tag-epoch-stream-offset`, then `.call`, `.rN` or `.e` where they apply. Numbers are in
 * base 36.
 *
 *     tag     a hash of the session id: an id of another session's stream is recognised. In 2026-07-28 there is no
 *             session, and no stream is read again: every id has the same tag
 *     epoch   of the owner who sent the event: a position in a lost stream is not mistaken for one in the stream that
 *             replaced it
 *     .call   on the stream of one request, its id: a resume that cannot be served gets an error of that id, even where
 *             the session is unknown. `.n` and a number, `.t` and JSON text in base64url; in upper case for `tools/call`
 *     .rN     the N-th resume from this position: a client that gets the id which it resumed from counts that as no
 *             progress, and gives up after some interruptions
 *     .e      the stream ended here, and nothing of it follows
 *
 * Each id has one spelling, and at most 150 characters.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../../base/or-undefined.ts';
import { callsTool } from '../../base/protocol/methods.ts';

export interface EventPosition {
  readonly tag: string;
  readonly epoch: number;
  readonly stream: string;
  readonly offset: number;
  /** The request that the stream answers, where the id names it. */
  readonly call: RequestId | undefined;
  /** That request is a `tools/call`. */
  readonly isTool: boolean;
  /** How often a client has resumed from this position. */
  readonly resumes: number;
  readonly ended: boolean;
}

/** The key of every session's GET stream; POST streams are named `p…`. */
export const GET_STREAM = 'g';
/** The stream and the tag of every 2026-07-28 call. */
const CALL_STREAM = 'm';

const PATTERN =
  /^([0-9a-z]{1,11})-([0-9a-z]{1,8})-(g|m|p[0-9a-z]{1,8}_[0-9a-z]{1,8})-([0-9a-z]{1,10})(?:\.([ntNT])([\w-]{1,88}))?(?:\.r([0-9a-z]{1,6})|(\.e))?$/;

/** Longer request ids are left out, because every event would carry them. */
const CALL_BYTES = 66;

/** FNV-1a over two lanes: 62 bits tell sessions apart, and the tag is no secret. SHA-256 costs an `initialize` 4 %. */
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

/** The beginning of every id of one session under one owner. */
export function eventPrefix(tag: string, epoch: number): string {
  // `join` makes one string. A template makes a rope of strings, and each session keeps its prefix.
  return [tag, epoch.toString(36), ''].join('-');
}

/** `suffix`: made by `callSuffix` and `resumeSuffix`. */
export function formatEventId(prefix: string, stream: string, offset: number, suffix = ''): string {
  return `${prefix}${stream}-${offset.toString(36)}${suffix}`;
}

/** A request id as part of an event id; empty where it is too long, or no number of JSON-RPC. */
export function callSuffix(id: RequestId | undefined, isTool = false): string {
  if (typeof id === 'number') return Number.isSafeInteger(id) ? `.${isTool ? 'N' : 'n'}${id}` : '';
  const json = typeof id === 'string' ? Buffer.from(JSON.stringify(id)) : undefined;
  if (json === undefined || json.length > CALL_BYTES) return '';
  return `.${isTool ? 'T' : 't'}${json.toString('base64url')}`;
}

/** `kind`: the letter of the suffix. */
function readCall(kind: string, text: string): RequestId | undefined {
  if (kind === 'n') return Number(text);
  return orUndefined(() => JSON.parse(Buffer.from(text, 'base64url').toString()) as string);
}

/** The suffix of the next resume after `resumes` resumes. */
export function resumeSuffix(resumes: number): string {
  return `.r${(resumes + 1).toString(36)}`;
}

/** On the stream of a session. */
export function parseEventId(text: string): EventPosition | undefined {
  const position = parsePosition(text);
  return position?.stream === CALL_STREAM ? undefined : position;
}

/** The id with which the stream of a 2026-07-28 request begins; `undefined`: none can carry the id of the request. */
export function callEventId(id: RequestId, method: string): string | undefined {
  const suffix = callSuffix(id, callsTool(method));
  return suffix === ''
    ? undefined
    : formatEventId(eventPrefix(CALL_STREAM, 1), CALL_STREAM, 0, suffix);
}

/** `undefined`: no id of such a stream. */
export function parseCallEventId(
  text = '',
): (EventPosition & { readonly call: RequestId }) | undefined {
  const position = parsePosition(text);
  const call = position?.call;
  return position?.stream === CALL_STREAM && call !== undefined ? { ...position, call } : undefined;
}

function parsePosition(text: string): EventPosition | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [
    ,
    tag = '',
    epoch = '',
    stream = '',
    offset = '',
    kind = '',
    call = '',
    resumes = '0',
    ended,
  ] = match;
  const position: EventPosition = {
    tag,
    epoch: parseInt(epoch, 36),
    stream,
    offset: parseInt(offset, 36),
    call: readCall(kind.toLowerCase(), call),
    isTool: kind === 'T' || kind === 'N',
    resumes: parseInt(resumes, 36),
    ended: ended !== undefined,
  };
  return idOf(position) === text ? position : undefined;
}

function idOf(position: EventPosition): string {
  const { resumes, ended } = position;
  return withSuffix(position, ended ? ENDED : resumes > 0 ? resumeSuffix(resumes - 1) : '');
}

const ENDED = '.e';

function withSuffix(
  { tag, epoch, stream, offset, call, isTool }: EventPosition,
  suffix: string,
): string {
  return formatEventId(
    eventPrefix(tag, epoch),
    stream,
    offset,
    `${callSuffix(call, isTool)}${suffix}`,
  );
}

/** The same position, as a client that resumes from it gets it. */
export function resumedId(position: EventPosition): string {
  return withSuffix(position, resumeSuffix(position.resumes));
}

/** The id of an event after which nothing of its stream follows. */
export function endedId(position: EventPosition): string {
  return withSuffix(position, ENDED);
}

/** POST streams are numbered per owner, so that two owners never use the same name. */
export function postStreamKey(epoch: number, n: number): string {
  return `p${epoch.toString(36)}_${n.toString(36)}`;
}

/** The stream of `initialize`: the first POST at the first owner. */
export const HANDSHAKE_STREAM = postStreamKey(1, 0);

/** Orders streams by owner, then by number: the order in which they were opened. */
export function comparePostStreams(a: string, b: string): number {
  const [epochA, numberA] = placeOf(a);
  const [epochB, numberB] = placeOf(b);
  return epochA - epochB || numberA - numberB;
}

function placeOf(key: string): [epoch: number, n: number] {
  const [epoch = '', n = ''] = key.slice(1).split('_');
  return [parseInt(epoch, 36), parseInt(n, 36)];
}
