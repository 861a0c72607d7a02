/**
 * The high-level object of one session or request, where the definition is an `McpServer`. It inherits the tools,
 * prompts and resources, and its `server` is the light server. So `instanceof`, scope challenges and the look-up of a
 * tool's schema work as with a server that a factory made.
 */
import { definitionRefused } from '../../../base/errors.ts';
import type { ListChange } from '../../../base/protocol/methods.ts';
import type { SdkServer } from '../../../sdk/sdk-server.ts';
import { overrides } from '../../../sdk/server-shape.ts';

/** The methods of both servers of the SDK that tell of a changed list. */
export const LIST_SENDS = {
  sendToolListChanged: 'tools_list_changed',
  sendPromptListChanged: 'prompts_list_changed',
  sendResourceListChanged: 'resources_list_changed',
} as const satisfies Record<string, ListChange>;

/** They would register for every session. */
const REGISTRATIONS = [
  'registerTool',
  'registerResource',
  'registerPrompt',
  'tool',
  'resource',
  'prompt',
];

const CONNECTION = ['connect', 'close'];

interface Facade {
  readonly server: SdkServer;
}

/** What a facade uses of the server of its definition. */
interface Shared {
  /** The light server whose handler runs. */
  readonly light: SdkServer | undefined;
  listChanged(list: ListChange): unknown;
  actAs(light: SdkServer, work: () => unknown): unknown;
}

/** Prepares the definition's `McpServer`, and returns what creates the facades. */
export function createFacades(shared: Shared, highLevel: object): (light: SdkServer) => Facade {
  const members: Record<string, PropertyDescriptor> = {};
  /** A member like a method: code that wraps it may set it. */
  const give = (name: string, value: unknown): void => {
    members[name] = { configurable: true, writable: true, value };
  };
  /** A method of the definition's `McpServer` that no handler may replace. A facade may have one of its session. */
  const guard = (name: string, given: unknown): void => {
    let method = given;
    Object.defineProperty(highLevel, name, {
      configurable: true,
      enumerable: true,
      get: () => method,
      set(this: object, value: unknown) {
        if (this !== highLevel)
          Object.defineProperty(this, name, { configurable: true, writable: true, value });
        else if (shared.light !== undefined) throw setByHandler(name);
        else method = value;
      },
    });
  };
  for (const name of REGISTRATIONS)
    if (name in highLevel) give(name, () => refuseRegistration(name));
  // A member of SDK 1 that registers tools with tasks.
  if ('experimental' in highLevel)
    members['experimental'] = { get: () => refuseRegistration('experimental') };
  for (const [name, change] of Object.entries(LIST_SENDS)) {
    // On a facade they tell this one session.
    give(name, Reflect.get(highLevel, name));
    guard(name, () => shared.listChanged(change));
  }
  const log: unknown = Reflect.get(highLevel, 'sendLoggingMessage');
  if (log !== undefined) guard('sendLoggingMessage', log);
  for (const name of CONNECTION) {
    // Set on the object, as tracing tools do, or of a subclass. It may be bound to the definition.
    if (!overrides(highLevel, name)) continue;
    const own = Reflect.get(highLevel, name) as (this: Facade, ...args: unknown[]) => unknown;
    give(name, function (this: Facade, ...args: unknown[]): unknown {
      return shared.actAs(this.server, () => own.apply(this, args));
    });
  }
  const base = Object.create(highLevel, members) as object;
  return (light) => {
    const facade = Object.create(base) as { server: SdkServer };
    facade.server = light;
    return facade;
  };
}

/** A handler registers on the server of its session, which would do so for every session. */
function refuseRegistration(name: string): never {
  throw definitionRefused(
    `${name}() was called on the server of one session, but one definition serves all sessions. ` +
      'Register on the definition itself, or pass a factory for tools of one user',
  );
}

export function setByHandler(name: string): Error {
  return definitionRefused(
    `a handler set its ${name}, but one definition serves all sessions. Set it before the first request, ` +
      'or on currentSession().server for one session',
  );
}
