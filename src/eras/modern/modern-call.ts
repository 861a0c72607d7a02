/**
 * One 2026-07-28 request as a value. `modern-era.ts`, `servers.ts` and `direct.ts` pass it on.
 *
 *     unbuilt ──▶ built ──▶ mirrored ──╮
 *        ▲          │  ╰───────────────┴──▶ otherCopy
 *        ╰──dropped─╯
 *
 * unbuilt: it has no server. built: the factory has made its server. mirrored: headers mirror arguments of the called
 * tool. otherCopy: the server is from another copy of the SDK, which `connect` does not bind to this era. `direct.ts`
 * serves only a built server. `createMcpHandler` continues with a server in any later state, and builds one for an
 * unbuilt call. dropped: `connect` did not bind the server, so `direct.ts` closed it.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  type Implementation,
  type McpServer,
  type Server,
} from '@modelcontextprotocol/server';
import type { SojournError } from '../../errors.ts';
import type { Caller } from '../../http/exchange.ts';
import type { Admission } from '../../http/request-gate.ts';
import type { Reader, ReaderListener } from '../../http/reader.ts';
import type { AnswerReader } from '../../http/response.ts';
import { follow, type Transitions } from '../../options/transitions.ts';
import { cancelledMessage, type Checked, isObject, type RpcRequest, toolOf } from '../../protocol/jsonrpc.ts';
import { afterTurn } from '../../options/system.ts';
import { type AnyServer, modernServerOf } from '../../protocol/server-shape.ts';
import { contexts, MessageContext, targetOf } from '../../session/calls/context.ts';
import { HandlerWork } from '../../session/calls/handler-work.ts';

type ServerPhase = 'unbuilt' | 'built' | 'mirrored' | 'otherCopy';

const PHASES: Transitions<ServerPhase> = {
  unbuilt: ['built'],
  built: ['mirrored', 'otherCopy', 'unbuilt'],
  mirrored: ['otherCopy'],
  otherCopy: [],
};

/** A message that one server gets, and who sent it. */
export interface ModernMessage extends Pick<ModernCall, 'caller' | 'text' | 'version' | 'admission'> {
  readonly message: Extract<Checked, { kind: 'request' | 'notification' }>;
}

export interface StreamBeginner {
  /** Sends the first event of the stream of a request; none where no event id can carry the id of the request. */
  beginStream(to: Reader, request: RpcRequest): void;
}

export class ModernCall implements ReaderListener {
  readonly caller: Caller;
  /** The text of the body; `undefined` when the caller of the endpoint had parsed it. */
  readonly text: string | undefined;
  readonly version: string;
  /** `undefined`: of a message that needs no place. */
  readonly admission: Admission | undefined;
  readonly work = new HandlerWork();
  /** Whether the handler runs. A notification whose handler hangs gives its place back before. */
  readonly handling: HandlerWork;
  readonly response: AnswerReader;
  readonly #beginner: StreamBeginner | undefined;
  #message: ModernMessage['message'];
  /** What closes when the response is over. */
  #closes: { left(): void } | undefined = undefined;
  #phase: ServerPhase = 'unbuilt';
  #made: AnyServer | undefined = undefined;
  /** The inner server of another copy of the SDK. */
  #inner: Server | undefined = undefined;
  #optionsRead = false;
  #endRun: (() => void) | undefined = undefined;
  #refusal: SojournError | undefined = undefined;
  #failure: Error | undefined = undefined;

  constructor(
    { caller, text, message, version, admission }: ModernMessage,
    response: AnswerReader,
    beginner: StreamBeginner | undefined,
  ) {
    this.caller = caller;
    this.text = text;
    this.#message = message;
    this.version = version;
    this.admission = admission;
    this.response = response;
    this.#beginner = beginner;
    response.listener = this;
    this.handling = message.kind === 'request' ? this.work : new HandlerWork();
    caller.heldBy(this.work);
    this.work.onDone(() => admission?.leave());
  }

  get message(): ModernMessage['message']['message'] {
    return this.#message.message;
  }

  /** `undefined`: a notification. */
  get request(): RpcRequest | undefined {
    return this.#message.kind === 'request' ? this.#message.message : undefined;
  }

  /** The request as its caller may send it. */
  authorized(request: RpcRequest): void {
    this.#message = { kind: 'request', message: request };
  }

  closes(what: { left(): void }): void {
    this.#closes = what;
  }

  over(): void {
    this.#closes?.left();
  }

  get label(): string {
    return targetOf(this.request?.params) ?? this.request?.method ?? '';
  }

  opened(reader: Reader): void {
    if (this.request !== undefined) this.#beginner?.beginStream(reader, this.request);
  }

  get phase(): ServerPhase {
    return this.#phase;
  }

  #enter(next: ServerPhase): void {
    this.#phase = follow(PHASES, this.#phase, next);
  }

  /** The factory made this server. */
  built(server: AnyServer): void {
    this.#enter('built');
    this.#made = server;
  }

  /** Headers mirror arguments of the called tool. */
  mirrors(): void {
    this.#enter('mirrored');
  }

  /** The server is from another copy of the SDK. `inner` is its `Server`. */
  isOfOtherCopy(inner: Server): void {
    this.#enter('otherCopy');
    this.#inner = inner;
  }

  /** Forgets the server. The caller closes it. */
  drop(): void {
    this.#enter('unbuilt');
    this.#made = undefined;
  }

  /** What the factory made. */
  get made(): AnyServer | undefined {
    return this.#made;
  }

  /** The server that `createMcpHandler` continues with; `undefined`: it needs a new one. */
  get server(): McpServer | Server | undefined {
    return this.#inner ?? (this.#made as McpServer | Server | undefined);
  }

  /** Whether the factory has read `ctx.serverOptions`. */
  get optionsRead(): boolean {
    return this.#optionsRead;
  }

  noteOptionsRead(): void {
    this.#optionsRead = true;
  }

  /** `end` ends the run hook around the present server. A hook around a server before it ends now. */
  runsIn(end: () => void): void {
    this.#endRun?.();
    this.#endRun = end;
  }

  /** Takes the place of the called tool. Throws the error that the call is refused with. */
  enterTool(): void {
    const refusal = this.request && this.admission?.enterTool(toolOf(this.request));
    if (refusal === undefined) return;
    this.refuse(refusal);
    throw refusal;
  }

  /** Its time is over: aborts the handler, and then closes its server, so that the call is answered with `error`. */
  expire(error: SojournError): void {
    this.refuse(error);
    const { server } = this;
    const cancelled = cancelledMessage(this.request?.id, error.message);
    const context = new MessageContext(this.caller, undefined, false, undefined, cancelled.method, undefined);
    contexts.run(context, () => modernServerOf(server)?.transport?.onmessage?.(cancelled));
    afterTurn(() => void server?.close());
  }

  /** The call is answered, or never will be. */
  done(): void {
    this.work.end();
    this.#endRun?.();
  }

  /** If set, it is answered instead of the SDK's response. */
  get refusal(): SojournError | undefined {
    return this.#refusal;
  }

  refuse(error: SojournError): void {
    this.#refusal = error;
  }

  /** The error that the SDK reported for this request. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  noteFailure(error: Error): void {
    this.#failure = error;
  }
}

/** What the client of a request states about itself. */
export function clientOf({ request }: ModernCall): {
  readonly clientInfo: Implementation | undefined;
  readonly clientCapabilities: ClientCapabilities | undefined;
} {
  const envelope = request?.params?.['_meta'];
  const meta = isObject(envelope) ? envelope : {};
  return {
    clientInfo: meta[CLIENT_INFO_META_KEY] as Implementation | undefined,
    clientCapabilities: meta[CLIENT_CAPABILITIES_META_KEY] as ClientCapabilities | undefined,
  };
}

export function contextOf({ caller, request, handling }: ModernCall, requestHidden: boolean): MessageContext {
  const { id, method, params } = request ?? {};
  return new MessageContext(caller, undefined, requestHidden, id, method, undefined, targetOf(params), handling);
}
