/** What the eras that serve messages without a session share (`sessionless-call.ts`). */
import type { CallerRequest } from '../http/exchange.ts';
import type { Admission, RequestLimits } from '../limits/request-limits.ts';
import type { OnceCalls } from '../session/calls/once-calls.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { RandomSource } from '../base/system.ts';
import type { Checked } from '../protocol/jsonrpc.ts';
import type { Authorizer } from '../session/calls/authorizer.ts';
import type { CallTimes } from '../session/calls/call-times.ts';
import type { Lifecycle } from '../session/lifecycle.ts';
import type { ServerBuilder } from '../session/server/server-builder.ts';
import type { SharedLists } from '../session/calls/shared-lists.ts';
import type { NoteClient } from './message-checks.ts';

export type SentRpc = Extract<Checked, { kind: 'request' | 'notification' }>;

/** A message that one server gets, and who sent it. */
export interface SentMessage {
  readonly caller: CallerRequest;
  /** The text of the body; `undefined` when the caller of the endpoint had parsed it. */
  readonly text: string | undefined;
  readonly message: SentRpc;
  readonly version: string;
  /** `undefined`: the message needs no place. */
  readonly admission: Admission | undefined;
}

/** What the eras that serve messages without a session are given. */
export interface SessionlessOptions {
  readonly options: ResolvedOptions;
  readonly servers: ServerBuilder;
  readonly random: RandomSource;
  readonly authorizer?: Authorizer | undefined;
  readonly gate: RequestLimits;
  readonly callTimes: CallTimes | undefined;
  readonly lists?: SharedLists | undefined;
  readonly noteClient: NoteClient;
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly once: OnceCalls;
  /** `undefined`: without the option `tasks`. */
  readonly launcher: object | undefined;
}

/** What the calls of an era share. */
export interface CallHost extends Pick<
  SessionlessOptions,
  'options' | 'random' | 'authorizer' | 'lists' | 'noteClient' | 'callTimes' | 'lifecycle' | 'once' | 'launcher'
> {
  readonly era: 'legacy' | 'modern';
}
