/**
 * One server that the application built once, as a factory: each call returns a light server (`light-server.ts`) that
 * answers with the definition's handlers, inside a facade (`facade.ts`) where the definition is an `McpServer`.
 *
 *     free ──hostDefinition──▶ hosted ──release──▶ free
 *
 * A definition keeps its overrides for good (`shared-server.ts`): a server that served sessions once can be hosted
 * again, and never be connected.
 */
import { definitionRefused } from '../errors.ts';
import { isThenable } from '../options/checks.ts';
import { innerServer, isHighLevel, propertyWithServer } from '../sdk/server-shape.ts';
import type { ConnectableServer, McpEndpointFactory } from '../types.ts';
import { Gateway } from './gateway.ts';
import type { HostedDefinition } from './hosted.ts';
import { createFacades } from './facade.ts';
import { answersItself, createLightServer } from './light-server.ts';
import { isSdkServer, isSubclass, missingSeam, optionsOf, ownMethod, type SdkServer } from '../sdk/sdk-server.ts';
import { failedCheck } from './self-check.ts';
import type { ServingEndpoint } from './announcements.ts';
import { SharedServer } from './shared-server.ts';
import { versionsOf } from '../sdk/sdk-version.ts';

class Definition implements HostedDefinition {
  readonly #shared: SharedServer;
  #server: (light: SdkServer) => unknown = (light) => light;
  #highLevel: object | undefined = undefined;
  #hosted = true;

  constructor(server: SdkServer, highLevel: object | undefined) {
    this.#shared = new SharedServer(server);
    this.#serveAs(highLevel);
  }

  /** The first endpoint may have served only the low-level server of an `McpServer`. */
  #serveAs(highLevel: object | undefined): void {
    if (highLevel === undefined || this.#highLevel !== undefined) return;
    this.#highLevel = highLevel;
    this.#server = createFacades(this.#shared, highLevel);
  }

  readonly factory: McpEndpointFactory = ({ serverOptions }) => {
    const light = createLightServer(this.#shared, serverOptions);
    this.#shared.adopt(light);
    return this.#server(light) as ConnectableServer;
  };

  serve(endpoint: ServingEndpoint): void {
    this.#shared.announcements.endpoint = endpoint;
  }

  handlerOf(method: string): unknown {
    const { server, tables } = this.#shared;
    return tables.requests.get(method) ?? server.fallbackRequestHandler;
  }

  isReplacedIn(made: unknown, method: string): boolean {
    const server = innerServer(made);
    return isSdkServer(server) && answersItself(server, method);
  }

  host(highLevel: object | undefined): boolean {
    if (this.#hosted) return false;
    this.#hosted = true;
    this.#serveAs(highLevel);
    return true;
  }

  release(): void {
    this.#shared.announcements.endpoint = undefined;
    this.#hosted = false;
  }
}

/** The key is the low-level server. */
const definitions = new WeakMap<SdkServer, HostedDefinition>();

export interface Hosted {
  readonly definition: HostedDefinition;
  /** Why the server is served through one connection, which does less: a sentence for the log. */
  readonly warning: string | undefined;
}

/** Throws DEFINITION_REFUSED for a server that cannot serve many sessions. */
export function hostDefinition(given: object): Hosted {
  const server = isHighLevel(given) ? given['server'] : given;
  if (!isSdkServer(server)) throw definitionRefused(notOfSdk(given));
  const highLevel = server === given ? undefined : given;
  const known = definitions.get(server);
  if (known?.host(highLevel) === false)
    throw definitionRefused(
      'another endpoint serves it already; create one server per endpoint, or close that endpoint',
    );
  if (known !== undefined) return { definition: known, warning: warningOf(known, server) };
  checkUsable(server, highLevel);
  const definition =
    lackOfMembers(server) === undefined ? new Definition(server, highLevel) : new Gateway(server, highLevel);
  definitions.set(server, definition);
  return { definition, warning: warningOf(definition, server) };
}

/** Why the private members of this copy of the SDK cannot be used, in words. */
function lackOfMembers(server: SdkServer): string | undefined {
  const missing = missingSeam(server);
  if (missing !== undefined) return `it has no ${missing}`;
  const own = ownMethod(server);
  return own === undefined ? failedCheck(server.constructor) : `its constructor sets ${own.name}()`;
}

function warningOf(definition: HostedDefinition, server: SdkServer): string | undefined {
  if (!(definition instanceof Gateway)) return undefined;
  return (
    `This version of the SDK keeps something elsewhere (${lackOfMembers(server)}), so one connection serves all sessions, ` +
    'without 2026-07-28 and sharedLists, and of configureSessionOptions with instructions and capabilities alone. ' +
    `It is ${versionsOf(server)}. To have them, pass ${FACTORY}`
  );
}

const FACTORY =
  'a factory, which creates a new server in each call: createMcpEndpoint(() => { const server = new McpServer(info); …; return server; })';

function notOfSdk(given: object): string {
  if (isThenable(given)) return 'it is a promise; await it, and pass the server';
  const { name = 'Object' } = (given as { readonly constructor?: { readonly name?: string } }).constructor ?? {};
  const what = name === 'Object' ? 'an object' : `an object of class ${name}`;
  const property = propertyWithServer(given);
  return property === undefined
    ? `it is ${what}, and neither an McpServer nor a Server of the SDK; pass such a server, or ${FACTORY}`
    : `it is ${what} around a server of the SDK; pass that server, which is in its property ${property}`;
}

function checkUsable(server: SdkServer, highLevel: object | undefined): void {
  if (server.transport !== undefined)
    throw definitionRefused('it is connected to a transport; do not call connect(), the endpoint serves it');
  if (isSubclass(server, highLevel)) {
    throw definitionRefused(
      `its class ${server.constructor.name} extends the SDK's Server, and what it keeps would be shared between clients; pass ${FACTORY}`,
    );
  }
  // Before 1.32 the SDK's own store does not look at the session of a task, and without sessions no version does.
  if (optionsOf(server)['taskStore'] !== undefined) {
    throw definitionRefused(
      `its taskStore would let each session list the tasks of all others; give each server one of its own, and pass ${FACTORY}`,
    );
  }
  const own = ownMethod(server);
  if (own?.by === 'application') {
    throw definitionRefused(
      `its method ${own.name}() was replaced, and the servers of its sessions would not have the replacement; pass ${FACTORY}`,
    );
  }
}
