/**
 * Tasks of calls that cannot become one: in sessions, of clients that do not declare the extension, and where the task
 * of a key must be looked for before a handler begins. The instance calls the tool once more, as a client with tasks.
 * The call of the client waits for that task, or tells its id.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { internal, invalidRequest } from '../errors.ts';
import { encoded } from '../eras/modern/mcp-headers.ts';
import { HeardAnswer } from '../http/heard-answer.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import { MODERN_VERSIONS } from '../protocol/versions.ts';
import type { Call } from '../session/calls/call.ts';
import { CallRefusal } from '../session/calls/answer-error.ts';
import type { PostedRequest } from '../session/streams/event-log.ts';
import type { McpSession } from '../types.ts';
import type { TaskRequests } from './task-requests.ts';
import type { RunRequest } from './run-sink.ts';
import { TaskRun, type TaskRunner } from './task-run.ts';
import type { Tasks } from './tasks.ts';
import { TASKS_EXTENSION } from './wire-shapes.ts';

const [VERSION = ''] = MODERN_VERSIONS;
const ID = 'sojourn.task';

export class TaskLauncher {
  readonly tasks: Tasks;
  readonly requests: TaskRequests;
  readonly #runner: TaskRunner;

  constructor(tasks: Tasks, requests: TaskRequests, runner: TaskRunner) {
    this.tasks = tasks;
    this.requests = requests;
    this.#runner = runner;
  }

  /**
   * Calls the tool of this call. Resolves with the id of its task; `undefined`: a server that is made for one request
   * lacks the tool. Rejects with `CallRefusal`, and when `signal` aborts.
   */
  async launch(call: Call, signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    const { run, heard } = this.prepare(call);
    const left = (): void => heard.done();
    signal.addEventListener('abort', left, { once: true });
    call.work.leaveTool();
    this.#runner.serveUnattended(run);
    try {
      const { result, error } = JSON.parse(await heard.answered) as Partial<RpcResponse>;
      signal.throwIfAborted();
      if (isObject(result) && result['resultType'] === 'task') return String(result['taskId']);
      const refusal = heard.refused ?? run.handler.refusal;
      if (refusal !== undefined) throw new CallRefusal(refusal);
      // Its `key` threw, or is none: the call of the client throws the same.
      if (run.handler.thrown !== undefined) throw run.handler.thrown.cause;
      if (run.handler.hasBegun) throw new CallRefusal(internal(error ?? new Error('A call did not become a task')));
      return undefined;
    } finally {
      signal.removeEventListener('abort', left);
    }
  }

  /** A run whose handler does not begin by itself. */
  prepare(call: Call): { readonly run: TaskRun; readonly heard: HeardAnswer } {
    const heard = new HeardAnswer();
    return { run: new TaskRun(requestOf(call), this.tasks, { exchange: heard, response: heard }), heard };
  }
}

/** The call of the client, as a client with tasks would send it. */
function requestOf({ caller, sent, target = '', session }: Call): RunRequest {
  if (caller === undefined || sent === undefined)
    throw new CallRefusal(invalidRequest('only a call that a client sent becomes a task'));
  const { request, user, clientAddress: address, authInfo } = caller;
  const { pathname, search, href } = new URL(request.url);
  const headers = {
    ...Object.fromEntries(request.headers),
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': encoded(target),
  };
  return {
    fields: { method: 'POST', url: `${pathname}${search}`, absoluteUrl: href, headers, user, address },
    authInfo,
    request: toolCall(target, sent, session),
    version: VERSION,
    launched: { session: session?.id },
  };
}

function toolCall(name: string, { params }: PostedRequest, session: McpSession | undefined): RpcRequest {
  const { progressToken: _, ...meta } = isObject(params?.['_meta']) ? params['_meta'] : {};
  const capabilities = session?.clientCapabilities ?? meta[CLIENT_CAPABILITIES_META_KEY];
  const declared: Readonly<Record<string, unknown>> = isObject(capabilities) ? capabilities : {};
  const extensions = isObject(declared['extensions']) ? declared['extensions'] : {};
  const _meta = {
    ...meta,
    [PROTOCOL_VERSION_META_KEY]: VERSION,
    [CLIENT_INFO_META_KEY]: session?.clientInfo ?? meta[CLIENT_INFO_META_KEY],
    [CLIENT_CAPABILITIES_META_KEY]: { ...declared, extensions: { ...extensions, [TASKS_EXTENSION]: {} } },
  };
  const { arguments: args } = params ?? {};
  return { jsonrpc: '2.0', id: ID, method: 'tools/call', params: { name, arguments: args, _meta } };
}

/** The launcher of the endpoint that serves a call. `undefined`: no endpoint of this copy, or one without tasks. */
export function launcherOf(call: Call | undefined): TaskLauncher | undefined {
  const launcher = call?.services?.launcher;
  return launcher instanceof TaskLauncher ? launcher : undefined;
}
