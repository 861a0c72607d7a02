/** Which servers of an application can serve many sessions, and why not. */
import { definitionRefused } from '../../../base/errors.ts';
import { isThenable } from '../../../base/options/checks.ts';
import {
  type Construction,
  constructionOf,
  isSdkServer,
  isSubclass,
  lackingTable,
  replacedMethod,
  type SdkServer,
} from '../../../sdk/sdk-server.ts';
import { isHighLevel, propertyWithServer } from '../../../sdk/server-shape.ts';
import { SharedServer } from './shared-server.ts';

/** The key is the low-level server. */
const definitions = new WeakMap<SdkServer, SharedServer>();

/** Throws DEFINITION_REFUSED for a server that cannot serve many sessions. */
export function hostDefinition(given: object): SharedServer {
  const server = isHighLevel(given) ? given['server'] : given;
  if (!isSdkServer(server)) throw definitionRefused(notOfSdk(given));
  const isClosed = [server, given].some((one) => !Object.isExtensible(one));
  if (isClosed)
    throw definitionRefused(
      `it is frozen or sealed, so its members cannot lead to each session; pass ${FACTORY}`,
    );
  const definition = definitions.get(server) ?? define(server);
  definition.host(server === given ? undefined : given);
  return definition;
}

function define(server: SdkServer): SharedServer {
  if (server.transport !== undefined)
    throw definitionRefused(
      'it is connected to a transport; do not call connect(), the endpoint serves it',
    );
  const construction = constructionFor(server);
  if (typeof construction === 'string') throw definitionRefused(`${construction}; pass ${FACTORY}`);
  const definition = new SharedServer(server, construction);
  definitions.set(server, definition);
  return definition;
}

const FACTORY =
  'a factory, a function that creates a new server in each call: createMcpEndpoint(() => { const server = new McpServer(info); …; return server; })';

function notOfSdk(given: object): string {
  if (isThenable(given)) return 'it is a promise; await it, and pass the server';
  const { name = 'Object' } =
    (given as { readonly constructor?: { readonly name?: string } }).constructor ?? {};
  const what = name === 'Object' ? 'an object' : `an object of class ${name}`;
  const property = propertyWithServer(given);
  return property === undefined
    ? `it is ${what}, and neither an McpServer nor a Server of the SDK; pass such a server, or ${FACTORY}`
    : `it is ${what} around a server of the SDK; pass that server, which is in its property ${property}`;
}

/** What the servers of its sessions are made like, or why it cannot serve many sessions, where a factory can. */
function constructionFor(server: SdkServer): Construction | string {
  if (isSubclass(server))
    return `its class ${server.constructor.name} extends the SDK's Server, and what it keeps would be shared between clients`;
  const construction = constructionOf(server);
  const table = lackingTable(server);
  if (construction === undefined || table !== undefined)
    return `this version of the SDK keeps what its servers are made of elsewhere (it has no ${table ?? 'options'})`;
  // Before 1.32 the SDK's own store does not look at the session of a task, and without sessions no version does.
  if (construction.options['taskStore'] !== undefined)
    return 'its taskStore would let each session list the tasks of all others; give each server one of its own';
  const method = replacedMethod(server);
  if (method !== undefined)
    return `its method ${method}() was replaced, and the servers of its sessions would not have the replacement`;
  return construction;
}
