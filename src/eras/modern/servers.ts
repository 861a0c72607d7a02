/** What 2026-07-28 needs of the server of one request, before it is connected and after. */
import { unsupportedVersion } from '../../errors.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { isModern } from '../../protocol/versions.ts';
import { givenInstructions, handlerOf } from '../../sdk/sdk-server.ts';
import { rememberSchemas } from '../../sdk/schema-memo.ts';
import { type AnyServer, bindToRevision, isMcpServer, modernServerOf } from '../../sdk/server-shape.ts';
import type { SessionlessCall } from '../sessionless-call.ts';
import type { SessionlessEra } from '../sessionless-requests.ts';
import { checkParamHeaders, mirroredHeaders } from './mcp-headers.ts';
import { TASKS_EXTENSION } from './task-calls.ts';

const DISCOVER = 'server/discover';

type ModernServer = NonNullable<ReturnType<typeof modernServerOf>>;

export class ModernServers implements SessionlessEra {
  readonly #options: ResolvedOptions;
  /** Revisions of this era. */
  readonly #served: readonly string[];

  constructor(options: ResolvedOptions, served: readonly string[]) {
    this.#options = options;
    this.#served = served;
  }

  /** Throws what the request is refused with. */
  accept(call: SessionlessCall, server: AnyServer): void {
    const inner = modernServerOf(server);
    if (inner === undefined) throw this.#unsupported(call);
    if (call.method === DISCOVER) this.#answerDiscover(call, inner);
    const { rpcRequest: request } = call;
    const tool = request?.method === 'tools/call' ? request.params?.['name'] : undefined;
    if (request !== undefined && typeof tool === 'string' && isMcpServer(server)) {
      rememberSchemas(server, tool);
      const given = [server.toolInputSchemaJson(tool), request.params?.['arguments']] as const;
      const refusal = call.own === undefined ? checkParamHeaders(call.caller, ...given) : undefined;
      if (refusal !== undefined) throw refusal;
      call.own?.addHeaders(mirroredHeaders(...given));
    }
    setClientAccessors(inner, call);
    // A server that is connected already is refused by its `connect`.
    if (inner.transport === undefined) bindToRevision(inner, call.version);
  }

  /** A copy of the SDK that keeps the revision elsewhere serves earlier revisions alone. */
  connected(call: SessionlessCall, server: AnyServer): void {
    if (modernServerOf(server)?.getNegotiatedProtocolVersion() !== call.version) throw this.#unsupported(call);
  }

  /** The SDK registers the handler where the options of a server name the revision. */
  #answerDiscover(call: SessionlessCall, server: ModernServer): void {
    if (this.#options.tasks) server.registerCapabilities({ extensions: { [TASKS_EXTENSION]: {} } });
    if (handlerOf(server, DISCOVER) !== undefined) return;
    const described = { supportedVersions: [...this.#served], ...givenInstructions(server) };
    try {
      server.setRequestHandler(DISCOVER, () => ({ ...described, capabilities: { ...server.getCapabilities() } }));
    } catch {
      throw this.#unsupported(call);
    }
  }

  #unsupported(call: SessionlessCall): Error {
    const legacy = this.#options.supportedProtocolVersions.filter((version) => !isModern(version));
    return unsupportedVersion(call.version, legacy);
  }
}

/** Sets the accessors of the handshake, which this era lacks. The SDK's own handler writes what they read. */
function setClientAccessors(server: ModernServer, { client }: SessionlessCall): void {
  const { clientInfo, clientCapabilities } = client;
  if (clientInfo !== undefined) server.getClientVersion = () => clientInfo;
  if (clientCapabilities !== undefined) server.getClientCapabilities = () => clientCapabilities;
}
