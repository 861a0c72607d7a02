/**
 * The 2025 era without sessions: each POST gets a new server. It is closed when its request is answered, the handler of
 * its notification has settled, or its client disconnected. `./sessionless-requests.ts` has the steps.
 */
import { batchNotAllowed, statelessUnsupported } from '../../base/errors.ts';
import { refuse } from '../../http/answer.ts';
import { type Exchange, guarded } from '../../http/exchange.ts';
import { HttpResponse } from '../../http/response.ts';
import type { ResponsePolicy } from '../../http/sink.ts';
import { isObject, type RpcNotification, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import { type AnyServer, innerServer } from '../../sdk/server-shape.ts';
import type { PostBody } from '../../session/inbound/inbound.ts';
import { featureOf } from './one-request.ts';
import { SessionlessCall, type SessionlessOptions } from './sessionless-call.ts';
import { SessionlessRequests } from './sessionless-requests.ts';

export class StatelessEra extends SessionlessRequests {
  readonly #responses: ResponsePolicy;

  constructor(given: SessionlessOptions) {
    super({ ...given, era: 'legacy' });
    const { options } = given;
    const form = options.responseMode === 'json' ? 'json' : 'events';
    this.#responses = { form };
  }

  post(exchange: Exchange, { batch, messages: [first] }: PostBody): void {
    if (batch || first === undefined) {
      return refuse(
        exchange,
        batchNotAllowed('a batch belongs to a session negotiated at 2025-03-26'),
        null,
      );
    }
    // There is no session with a question that this answer could be for.
    if (first.kind !== 'request' && first.kind !== 'notification') return exchange.respond(202, []);
    const admission = this.takePlace(exchange, first);
    if (admission === undefined) return;
    const version = versionOf(exchange, first.message);
    const response = new HttpResponse(exchange, this.#responses);
    const call = new SessionlessCall(this.host, first, exchange, version, admission, response);
    guarded(exchange, () => this.serve(call));
  }

  /**
   * Makes the server refuse to ask its client, for the right reason. The SDK's own methods first look for capabilities,
   * which no client states without a handshake, and their errors would blame the client.
   */
  protected accept(_: SessionlessCall, server: AnyServer): void {
    const inner: unknown = innerServer(server);
    if (!isObject(inner)) return;
    for (const [name, refusing] of Object.entries(QUESTIONS)) {
      if (typeof inner[name] === 'function') inner[name] = refusing;
    }
  }
}

/** The version that an `initialize` requests, or that its client says it has negotiated. */
function versionOf(exchange: Exchange, { method, params }: RpcRequest | RpcNotification): string {
  const requested = roleOf(method) === 'handshake' ? params?.['protocolVersion'] : undefined;
  return typeof requested === 'string'
    ? requested
    : (exchange.header('mcp-protocol-version') ?? '');
}

const noQuestions = (what: string) => (): Promise<never> =>
  Promise.reject(statelessUnsupported(what));

const QUESTIONS = {
  createMessage: noQuestions('Sampling'),
  elicitInput: noQuestions('Elicitation'),
  listRoots: noQuestions('Roots'),
  assertCapabilityForMethod: (method: string): never => {
    throw statelessUnsupported(featureOf(method));
  },
};
