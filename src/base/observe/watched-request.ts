/** Collects what the notice of one request says. Only endpoints whose requests are listened to make one. */
import { orUndefined } from '../or-undefined.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { callsTool, listsTools, methods, takesName } from '../protocol/methods.ts';
import { keptText, shown, userName } from '../shown.ts';
import type { TimeProvider } from '../types.ts';
import { addListed } from './known-names.ts';
import type { CallFailure, Notices, Refusal } from './notices.ts';

/** nginx's status for a client that disconnected. The SDK uses it for a server that closed before it answered. */
export const CLIENT_LEFT = 499;

/** The exchange of a client, as its notice reads it. */
interface WatchedExchange {
  readonly method: string;
  readonly sessionId: string | undefined;
  readonly userKey: string | undefined;
  header(name: string): string | undefined;
}

export class WatchedRequest {
  readonly #notices: Notices;
  readonly #time: Required<TimeProvider>;
  readonly #began: number;
  #method: string | undefined = undefined;
  #target: string | undefined = undefined;
  #refused: Refusal | undefined = undefined;
  #failure: CallFailure | undefined = undefined;
  #status: number | undefined = undefined;
  #isRelayed = false;

  constructor(notices: Notices, time: Required<TimeProvider>) {
    this.#notices = notices;
    this.#time = time;
    this.#began = time.monotonic();
  }

  /** The message of its body; of a batch the first request. */
  carries(method: string, params: Readonly<Record<string, unknown>> | undefined): void {
    // Most requests are calls of known tools, and to check a text costs as much as to count a request.
    this.#method = methods.has(method) ? method : keptText(method);
    // The URI of a resource may hold a secret.
    const name = takesName(method) ? params?.['name'] : undefined;
    if (typeof name === 'string')
      this.#target = this.#notices.tools.has(name) ? name : keptText(name);
  }

  /** Another instance runs its only request: no list may have passed here. */
  relayed(): void {
    this.#isRelayed = true;
  }

  /** The instance that runs it says that its server has the tool, whatever that answers. */
  hasTool(): void {
    const tool = this.#newTool;
    if (tool !== undefined) this.#notices.tools.add(tool);
  }

  refused(refusal: Refusal): void {
    this.#refused = refusal;
  }

  /** A message leaves in its response. */
  sent(json: string): void {
    const { tools } = this.#notices;
    const isList = listsTools(this.#method) && tools.wantsList;
    const tool = this.#isRelayed ? this.#newTool : undefined;
    // Almost every message has neither `"error":` nor `"isError":`, which end alike, and needs no parsing.
    if (!isList && tool === undefined && !json.includes('rror":')) return;
    const message: unknown = orUndefined(() => JSON.parse(json));
    if (!isObject(message)) return;
    const failure = failureIn(message);
    this.#failure ??= failure;
    // A result that is no error says that the server has the tool. Progress and questions say nothing of it.
    if (tool !== undefined && failure === undefined && isObject(message['result'])) tools.add(tool);
    if (isList && isObject(message['result']))
      addListed(message['result']['tools'], tools, keptText);
  }

  /** The tool that it calls, if its name may still be learned. */
  get #newTool(): string | undefined {
    const { tools } = this.#notices;
    if (this.#target === undefined || !callsTool(this.#method)) return undefined;
    return tools.hasRoom && !tools.has(this.#target) ? this.#target : undefined;
  }

  /** What was to be sent was not, and the next attempt answers. */
  withdrawn(): void {
    this.#failure = undefined;
  }

  /** The head of its answer is written. */
  head(status: number): void {
    this.#status = status;
  }

  over(exchange: WatchedExchange, left: boolean): void {
    const isGet = exchange.method === 'GET';
    const resumed = isGet && exchange.header('last-event-id') !== undefined;
    const endedAt = this.#time.monotonic();
    this.#notices.emit({
      kind: 'request',
      http: exchange.method === 'POST' ? 'POST' : shown(exchange.method),
      method: this.#method,
      target: this.#target,
      status: this.#status ?? CLIENT_LEFT,
      refused: this.#refused,
      // What another GET stream carries answers no request of it.
      failure: isGet && !resumed ? undefined : this.#failure,
      resumed,
      left,
      ms: endedAt - this.#began,
      endedAt,
      sessionId: exchange.sessionId ?? exchange.header('mcp-session-id'),
      userName: exchange.userKey && shown(userName(exchange.userKey)),
    });
  }
}

/** How a message tells that its call failed; `undefined`: it is a result, a notification or a question. */
export function failureIn({
  error,
  result,
}: Readonly<Record<string, unknown>>): CallFailure | undefined {
  if (isObject(error)) return { error: Number(error['code']), ...reasonIn(error) };
  if (!isObject(result) || result['isError'] !== true) return undefined;
  const meta = result['_meta'];
  const lost = isObject(meta) ? meta['sojourn/error'] : undefined;
  return { isError: true, ...(isObject(lost) && reasonIn(lost)) };
}

/** An error of this library names its reason. Others may hold anything there. */
function reasonIn({
  data,
}: Readonly<Record<string, unknown>>): { readonly reason: string } | undefined {
  const reason = isObject(data) ? data['reason'] : undefined;
  return typeof reason === 'string' && REASON.test(reason) ? { reason } : undefined;
}

const REASON = /^[a-z_]{1,32}$/;
