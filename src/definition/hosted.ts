/** A server that serves all sessions of one endpoint, as the endpoint sees it. */
import { definitionRefused } from '../errors.ts';
import type { McpEndpointFactory } from '../types.ts';
import type { ServingEndpoint } from './announcements.ts';

export interface HostedDefinition {
  readonly factory: McpEndpointFactory;
  /** From now on the endpoint learns what changes in the definition, and what its handlers throw. */
  serve(endpoint: ServingEndpoint): void;
  /** The present handler of a method. */
  handlerOf(method: string): unknown;
  /** Whether the server of a session or request answers a method in another way than the definition. */
  isReplacedIn(made: unknown, method: string): boolean;
  /** `false`: another endpoint serves it. */
  host(highLevel: object | undefined): boolean;
  /** The endpoint is closed. The server may be passed to another endpoint. */
  release(): void;
}

export function connected(): Error {
  return definitionRefused(
    'it serves the sessions of an endpoint and cannot be connected by itself; create another server for another transport',
  );
}

/** A handler replaced a method, which would serve every session. */
export function replaced(name: string): Error {
  return definitionRefused(
    `a handler set its ${name}, but one definition serves all sessions. Set it before the first request, ` +
      'or on currentSession().server for one session',
  );
}

/** A handler registers on the server of its session, which would do so for every session. */
export function refuseRegistration(name: string): never {
  throw definitionRefused(
    `${name}() was called on the server of one session, but one definition serves all sessions. ` +
      'Register on the definition itself, or pass a factory for tools of one user',
  );
}
