/**
 * Event ids on the streams of 2026-07-28 requests, opaque to clients: `m-secret.call`, or after the first event
 * `m-secret-run-offset-resumes.call`; then `.e` where nothing follows. Numbers are in base 36.
 *
 *     secret   22 characters, 128 bits. No session guards these ids, so each call has a secret
 *     run      1, and one more each time another instance runs the call again: a new run numbers its messages anew
 *     offset   the messages of the run up to and including this event
 *     resumes  how often a client came back to this position: some clients give up if they get no new id
 *     .call    the request, as in `session/streams/event-id.ts`
 *
 * Each id has one spelling.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Exchange } from '../../http/exchange.ts';
import { base64url, type RandomSource } from '../../options/system.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { callSuffix, parseCallSuffix } from '../../session/streams/event-id.ts';

export interface CallPosition {
  readonly secret: string;
  readonly run: number;
  readonly offset: number;
  readonly resumes: number;
  readonly id: RequestId;
  /** The request is a `tools/call`. */
  readonly isTool: boolean;
  /** Its client has the answer, or an error instead of it. */
  readonly ended: boolean;
}

const SECRET_BYTES = 16;
const PATTERN =
  /^m-([0-9A-Za-z_-]{22})(?:-([0-9a-z]{1,8})-([0-9a-z]{1,10})-([0-9a-z]{1,5}))?(\.[isbISB][0-9A-Za-z_-]{1,86})(\.e)?$/;
const ENDED = '.e';
/** Resumes past this number count from 1 again: five digits. */
const RESUMES = 36 ** 5 - 1;

/** Where the stream of a request begins. */
export function firstPosition({ id, method }: RpcRequest, random: RandomSource): CallPosition {
  const secret = base64url(random(SECRET_BYTES));
  return { secret, run: 1, offset: 0, resumes: 0, id, isTool: method === 'tools/call', ended: false };
}

/** `undefined`: no id of such a stream. */
export function parseCallPosition(text: string | undefined): CallPosition | undefined {
  const [, secret, run, offset, resumes, call, ended] = PATTERN.exec(text ?? '') ?? [];
  const name = call === undefined ? undefined : parseCallSuffix(call);
  if (secret === undefined || name === undefined) return undefined;
  const position: CallPosition = {
    secret,
    run: run === undefined ? 1 : parseInt(run, 36),
    offset: offset === undefined ? 0 : parseInt(offset, 36),
    resumes: resumes === undefined ? 0 : parseInt(resumes, 36),
    ...name,
    ended: ended !== undefined,
  };
  return formatCallPosition(position) === text ? position : undefined;
}

/** Whether a GET asks for what followed on the stream of a 2026-07-28 request. */
export function asksForLostAnswer(exchange: Exchange): boolean {
  return exchange.method === 'GET' && parseCallPosition(exchange.header('last-event-id')) !== undefined;
}

/** Empty where the request has an id that no event id can carry. */
export function formatCallPosition({ secret, run, offset, resumes, id, isTool, ended }: CallPosition): string {
  const call = callSuffix(id, isTool);
  if (call === '') return '';
  const isFirst = run === 1 && offset === 0 && resumes === 0;
  const place = isFirst ? '' : `-${run.toString(36)}-${offset.toString(36)}-${resumes.toString(36)}`;
  return `m-${secret}${place}${call}${ended ? ENDED : ''}`;
}

/** The same position for a client that comes back to it. */
export function resumedPosition(position: CallPosition): CallPosition {
  return { ...position, resumes: (position.resumes % RESUMES) + 1 };
}
