/** A request as `aroundRequest` gets it. Most functions read little of it, so the rest is made when it is read. */
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type { RunningRequest } from '../../options/around-request.ts';
import { isObject, type RpcRequest, takesName } from '../../protocol/jsonrpc.ts';
import { userName } from '../../base/shown.ts';
import type { McpHttpRequest, McpSession } from '../../types.ts';
import type { Call } from './call.ts';

interface Run {
  readonly call: Call;
  readonly attempt: number;
  readonly signal: AbortSignal;
}

export class RequestOfRun implements RunningRequest {
  readonly method: string;
  readonly id: RequestId;
  readonly params: Readonly<Record<string, unknown>> | undefined;
  readonly era: 'legacy' | 'modern';
  readonly #run: Run;

  constructor(run: Run, { method, id, params }: RpcRequest) {
    this.method = method;
    this.id = id;
    this.params = params;
    this.era = run.call.era;
    this.#run = run;
  }

  get name(): string | undefined {
    const { method, params } = this;
    return takesName(method) ? textOf(params?.['name']) : undefined;
  }

  get ranTool(): boolean {
    return this.#run.call.tool !== undefined;
  }

  get uri(): string | undefined {
    return this.method.startsWith('resources/') ? textOf(this.params?.['uri']) : undefined;
  }

  get arguments(): Readonly<Record<string, unknown>> | undefined {
    const given = this.name === undefined ? undefined : this.params?.['arguments'];
    return isObject(given) ? given : undefined;
  }

  get protocolVersion(): string | undefined {
    const { version } = this.#run.call;
    return version === '' ? undefined : version;
  }

  get session(): McpSession | undefined {
    return this.#run.call.session;
  }

  get authInfo(): AuthInfo | undefined {
    return this.#run.call.authInfo;
  }

  get user(): string | undefined {
    return this.#run.call.caller?.user;
  }

  get userName(): string | undefined {
    const { user } = this;
    return user && userName(user);
  }

  get attempt(): number {
    return this.#run.attempt;
  }

  get taskId(): string | undefined {
    return this.#run.call.task?.taskId;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  header(name: string): string | undefined {
    return this.#run.call.caller?.header(name.toLowerCase());
  }

  get http(): McpHttpRequest {
    const { request } = this.#run.call;
    if (request === undefined) throw new Error('A request of a client without its HTTP request');
    return request;
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
