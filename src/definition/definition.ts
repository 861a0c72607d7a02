/**
 * One server that the application built once, as a factory: each call returns a light server (`shared-server.ts`) that
 * answers with the definition's handlers, inside a facade (`facade.ts`) where the definition is an `McpServer`.
 *
 *     free ──hostDefinition──▶ hosted ──release──▶ free
 *
 * A definition keeps its forwarding for good (`shared-server.ts`): a server that served sessions once can be hosted
 * again, and never be connected.
 */
import { definitionRefused } from '../errors.ts';
import { isThenable } from '../options/checks.ts';
import {
  isSdkServer,
  isSubclass,
  lackingMember,
  optionsOf,
  replacedMethod,
  type SdkServer,
} from '../sdk/sdk-server.ts';
import { isHighLevel, propertyWithServer } from '../sdk/server-shape.ts';
import type { ConnectableServer, McpEndpointFactory } from '../types.ts';
import type { ServingEndpoint } from './announcements.ts';
import { createFacades } from './facade.ts';
import { SharedServer } from './shared-server.ts';

export class Definition {
  readonly #shared: SharedServer;
  #server: (light: SdkServer) => unknown = (light) => light;
  #hosted = false;

  constructor(server: SdkServer) {
    this.#shared = new SharedServer(server);
  }

  readonly factory: McpEndpointFactory = ({ serverOptions }) =>
    this.#server(this.#shared.createLight(serverOptions)) as ConnectableServer;

  /** From now on the endpoint learns what changes in the definition, and what its handlers throw. */
  serve(endpoint: ServingEndpoint): void {
    this.#shared.announcements.endpoint = endpoint;
  }

  /** `highLevel`: the `McpServer` around the server. An earlier endpoint may have served only the server inside it. */
  host(highLevel: object | undefined): void {
    if (this.#hosted)
      throw definitionRefused(
        'another endpoint serves it already; create one server per endpoint, or close that endpoint',
      );
    this.#hosted = true;
    if (highLevel === undefined || this.#shared.highLevel !== undefined) return;
    this.#shared.highLevel = highLevel;
    this.#server = createFacades(this.#shared, highLevel);
  }

  /** The endpoint is closed. The server may be passed to another endpoint. */
  release(): void {
    this.#shared.announcements.endpoint = undefined;
    this.#hosted = false;
  }
}

/** The key is the low-level server. */
const definitions = new WeakMap<SdkServer, Definition>();

/** Throws DEFINITION_REFUSED for a server that cannot serve many sessions. */
export function hostDefinition(given: object): Definition {
  const server = isHighLevel(given) ? given['server'] : given;
  if (!isSdkServer(server)) throw definitionRefused(notOfSdk(given));
  let definition = definitions.get(server);
  if (definition === undefined) {
    checkUsable(server);
    definitions.set(server, (definition = new Definition(server)));
  }
  definition.host(server === given ? undefined : given);
  return definition;
}

const FACTORY =
  'a factory, a function that creates a new server in each call: createMcpEndpoint(() => { const server = new McpServer(info); …; return server; })';

function notOfSdk(given: object): string {
  if (isThenable(given)) return 'it is a promise; await it, and pass the server';
  const { name = 'Object' } = (given as { readonly constructor?: { readonly name?: string } }).constructor ?? {};
  const what = name === 'Object' ? 'an object' : `an object of class ${name}`;
  const property = propertyWithServer(given);
  return property === undefined
    ? `it is ${what}, and neither an McpServer nor a Server of the SDK; pass such a server, or ${FACTORY}`
    : `it is ${what} around a server of the SDK; pass that server, which is in its property ${property}`;
}

function checkUsable(server: SdkServer): void {
  if (server.transport !== undefined)
    throw definitionRefused('it is connected to a transport; do not call connect(), the endpoint serves it');
  const refusal = refusalOf(server);
  if (refusal !== undefined) throw definitionRefused(`${refusal}; pass ${FACTORY}`);
}

/** Why this server cannot serve many sessions, where a factory can. */
function refusalOf(server: SdkServer): string | undefined {
  if (isSubclass(server))
    return `its class ${server.constructor.name} extends the SDK's Server, and what it keeps would be shared between clients`;
  const member = lackingMember(server);
  if (member !== undefined)
    return `this version of the SDK keeps what its servers are made of elsewhere (it has no ${member})`;
  // Before 1.32 the SDK's own store does not look at the session of a task, and without sessions no version does.
  if (optionsOf(server)['taskStore'] !== undefined)
    return 'its taskStore would let each session list the tasks of all others; give each server one of its own';
  const method = replacedMethod(server);
  if (method !== undefined)
    return `its method ${method}() was replaced, and the servers of its sessions would not have the replacement`;
  return Object.isSealed(server) ? 'it is frozen or sealed, so its members cannot lead to each session' : undefined;
}
