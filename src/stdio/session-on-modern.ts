/**
 * The server of a session in front of a program that speaks 2026-07-28 alone. Each request gets the
 * envelope of its client. The SDK's server asks the client what an `input_required` wants, and then
 * calls the handler again with the answers.
 */
import type { Server, ServerContext } from '@modelcontextprotocol/server';
import type { McpEndpointContext } from '../base/types.ts';
import type { RpcParams, Question, Result } from './child.ts';
import { methodOf } from '../base/protocol/methods.ts';
import type { ChildListener, Place, Watcher } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { ChildCalls } from './child-calls.ts';
import { newServer, registerAsking } from './new-server.ts';
import { ToolCalls } from './tool-calls.ts';
import { envelopeOf } from './wire.ts';

export function sessionOnModern(
  program: Program,
  ctx: McpEndpointContext,
  described: Described,
): Server {
  return new SessionOnModern(program, ctx, described).server;
}

class SessionOnModern implements ChildListener, Watcher {
  readonly #ctx: McpEndpointContext;
  readonly #place: Place;
  readonly #calls: ChildCalls;
  #level: string | undefined = undefined;
  readonly server: Server;

  constructor(program: Program, ctx: McpEndpointContext, described: Described) {
    this.#ctx = ctx;
    const shared = program.shared(described);
    const place = shared ?? program.place(ctx, undefined, true);
    this.#place = place;
    this.#calls = new ChildCalls(program, place);
    this.server = newServer(ctx, described);
    registerAsking(this.server, described, new ToolCalls(program.rules, this));
    if ('logging' in described.capabilities)
      this.server.setRequestHandler('logging/setLevel', async ({ params }) => {
        this.#level = params.level;
        return {};
      });
    const leave = place.listen(this);
    place.watch(this);
    this.server.onclose = () => {
      leave();
      if (shared === undefined) void program.pool.remove(place);
      else place.unwatch(this);
    };
  }

  async forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const { replays } = methodOf(method);
    if (replays === 'subscribed' || replays === 'unsubscribed') {
      this.#place.subscribe(this, String(params?.['uri']), replays === 'subscribed');
      return {};
    }
    const { clientCapabilities, clientInfo } = this.#ctx.session ?? {};
    const { inputResponses } = extra.mcpReq;
    const state = extra.mcpReq.requestState<unknown>();
    const sent = {
      ...params,
      _meta: {
        ...(params?.['_meta'] as object | undefined),
        ...envelopeOf(clientCapabilities, clientInfo, this.#level),
      },
      ...(inputResponses !== undefined && { inputResponses }),
      ...(typeof state === 'string' && { requestState: state }),
    };
    const answer = await this.#calls.forward(method, sent, extra);
    const { resultType, ...result } = answer;
    return resultType === 'input_required' ? answer : result;
  }

  question({ refuse }: Question): void {
    refuse(-32_601, '2026-07-28 has no requests to clients');
  }

  notified(method: string, params: RpcParams, call: number | undefined): void {
    const notification = { method, ...(params && { params }) };
    this.#calls
      .about(call)
      ?.mcpReq.notify(notification)
      .catch(() => {});
  }

  changed(method: string, params: RpcParams): void {
    const notification = { method, ...(params && { params }) };
    this.server.notification(notification as never).catch(() => {});
  }
}
