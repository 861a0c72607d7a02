/**
 * The span of one run of a request. Its parent is the trace context that the client sent in `params._meta`, so it has
 * the same parent when another instance runs the request again, and the span around it (of the HTTP request) is linked.
 * Where the client sent none, the span around it is the parent, else the header `traceparent`, which instances relay.
 * A later run of a task has what its first one was sent, and the span around it belongs to another request: it is
 * linked.
 *
 * No argument, result or message of an error is in a span, and no text of a client that is longer than 128 characters:
 * finished spans wait by the thousand for their export.
 */
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Link,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import { SojournError } from '../../base/errors.ts';
import type { Middleware, RequestAnswer, RunningRequest } from '../../base/options/middleware.ts';
import { monotonicMs, systemTime } from '../../base/system.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { callsTool } from '../../base/protocol/methods.ts';
import { boundedText, sessionHash } from '../../base/shown.ts';
import type { Counts } from './counts.ts';
import type { ServerNames } from './names.ts';

/** In characters, as long as a baggage may be. A longer context is ignored: a span keeps the text of its ids. */
const LONGEST_CONTEXT = 8_192;

interface SpanParts {
  readonly counts: Counts;
  readonly names: ServerNames;
  readonly resourceUris: boolean;
}

const made = new WeakSet<Middleware>();

/** Whether `telemetry()` made the function. */
export const isTelemetry = (around: Middleware | undefined): boolean =>
  around !== undefined && made.has(around);

export function aroundSpan(tracer: Tracer, parts: SpanParts): Middleware {
  const { counts, names } = parts;
  const around: Middleware = async (request, next) => {
    const began = monotonicMs(systemTime);
    const { parent, links } = parentOf(request);
    const attributes = attributesOf(request, parts);
    const name = nameOf(request, names);
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes, links }, parent);
    let errorType: string | undefined = 'call_aborted';
    let answer: RequestAnswer | undefined;
    try {
      answer = await context.with(trace.setSpan(parent, span), () => next());
      errorType = errorOf(answer);
      const { error } = answer;
      if (error !== undefined) span.setAttribute('rpc.response.status_code', String(error.code));
      return answer;
    } catch (cause) {
      errorType = cause instanceof SojournError ? cause.code.toLowerCase() : '_OTHER';
      // A run of a task that parks, detaches or is cancelled did not fail.
      if (errorType === 'call_aborted' && request.taskId !== undefined) errorType = undefined;
      throw cause;
    } finally {
      names.learn(request, answer);
      const learned = nameOf(request, names);
      if (learned !== name)
        span.updateName(learned).setAttributes(Object.assign(attributes, namesIn(request, names)));
      // A first run has the id once its call has become a task.
      if (request.taskId !== undefined)
        span.setAttribute('sojourn.task.id', sessionHash(request.taskId));
      if (errorType !== undefined) {
        span.setAttribute('error.type', errorType);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
      counts.ran(attributes, (monotonicMs(systemTime) - began) / 1_000, errorType);
    }
  };
  made.add(around);
  return around;
}

/** `tools/call add` */
function nameOf(request: RunningRequest, names: ServerNames): string {
  const [method, target] = [names.method(request.method), names.target(request)];
  return target === undefined ? method : `${method} ${target}`;
}

function namesIn(request: RunningRequest, names: ServerNames): Attributes {
  const { method } = request;
  const target = names.target(request);
  return {
    'mcp.method.name': names.method(method),
    ...(target !== undefined && {
      [!callsTool(method) ? 'gen_ai.prompt.name' : 'gen_ai.tool.name']: target,
    }),
  };
}

/** The code of a JSON-RPC error, or `tool_error`; `undefined`: it succeeded. */
function errorOf({ result, error }: RequestAnswer): string | undefined {
  if (error !== undefined) return String(error.code);
  return result?.['isError'] === true ? 'tool_error' : undefined;
}

function attributesOf(request: RunningRequest, { names, resourceUris }: SpanParts): Attributes {
  const { method, id, uri, session, protocolVersion, attempt } = request;
  return {
    ...namesIn(request, names),
    'jsonrpc.request.id': boundedText(String(id)),
    'network.transport': 'tcp',
    ...(protocolVersion !== undefined && { 'mcp.protocol.version': boundedText(protocolVersion) }),
    ...(session !== undefined && { 'mcp.session.id': sessionHash(session.id) }),
    ...(callsTool(method) && { 'gen_ai.operation.name': 'execute_tool' }),
    ...(resourceUris && uri !== undefined && { 'mcp.resource.uri': boundedText(uri) }),
    ...(attempt > 1 && { 'sojourn.attempt': attempt }),
  };
}

function parentOf(request: RunningRequest): { readonly parent: Context; readonly links: Link[] } {
  const around = context.active();
  const ambient = trace.getSpanContext(around);
  const isAround = ambient !== undefined && isSpanContextValid(ambient);
  const links = isAround ? [{ context: ambient }] : [];
  // The context of the application, to which the propagators add the span and the baggage that were sent.
  const bare = trace.deleteSpan(around);
  const meta = request.params?.['_meta'];
  const sent = isObject(meta) ? propagation.extract(bare, meta, META) : bare;
  const remote = trace.getSpanContext(sent);
  if (remote !== undefined && isSpanContextValid(remote)) return { parent: sent, links };
  if (isAround && request.taskId === undefined) return { parent: around, links: [] };
  return { parent: propagation.extract(bare, request, HEADERS), links };
}

const boundedContext = (value: string | undefined): string | undefined =>
  value !== undefined && value.length > LONGEST_CONTEXT ? undefined : value;

const META = {
  keys: (meta: Readonly<Record<string, unknown>>) => Object.keys(meta),
  get: (meta: Readonly<Record<string, unknown>>, key: string) => {
    const value = Object.hasOwn(meta, key) ? meta[key] : undefined;
    return typeof value === 'string' ? boundedContext(value) : undefined;
  },
};

const HEADERS = {
  keys: () => ['traceparent', 'tracestate', 'baggage'],
  get: (request: RunningRequest, key: string) => boundedContext(request.header(key)),
};
