/** What the command line and `sojourn/otel` use of an endpoint besides its public members. */
import type { ListenTarget, ServedBeside } from '../http/listen/listen.ts';
import type { WorkerIds } from '../base/worker-ids.ts';
import type { Family } from '../base/observe/metric-table.ts';
import type { Dashboards } from './dashboard.ts';
import type { DrainOptions, McpEndpoint } from './mcp-endpoint.ts';

/** How a process that ends drains. */
export interface ProcessDrain extends Pick<DrainOptions, 'timeoutMs'> {
  /** `'now'`: running calls are not finished first, so that another process gets the port at once. */
  stopListening?: boolean | 'now' | undefined;
  /** The socket that `listen({ fd })` was passed is held by no other process, so it closes with this one. */
  socketCloses?: boolean | undefined;
}

export interface EndpointInternals {
  /** The metrics as values. */
  families(): Family[];
  drain(given: ProcessDrain): ReturnType<McpEndpoint['drain']>;
  readonly dashboards: Dashboards;
  /** What `listen()` serves beside the endpoint. */
  beside?: ServedBeside;
  readonly ids: WorkerIds;
  /** Set before `listen()`, where other processes serve its socket. */
  passConnections?: ListenTarget['passConnections'];
  /** `sojourn instances drain` runs it instead of `endpoint.drain()`: the process ends as at a signal. */
  drainOrdered?: () => void;
}

const byEndpoint = new WeakMap<object, EndpointInternals>();

export function keepInternals(endpoint: object, internals: EndpointInternals): void {
  byEndpoint.set(endpoint, internals);
}

/** `endpoint`: what `createMcpEndpoint` returned. */
export const internalsOf = (endpoint: object): EndpointInternals | undefined =>
  byEndpoint.get(endpoint);
