/**
 * The high-level object of one session or request, where the definition is an `McpServer`. It inherits the tools,
 * prompts and resources, and its `server` is the light server. So `instanceof`, scope challenges and the look-up of a
 * tool's schema work as with a server that a factory made.
 */
import { noticingRunner } from '../session/calls/call.ts';
import { refuseRegistration } from './hosted.ts';
import { LIST_SENDS, type SharedServer } from './shared-server.ts';
import type { SdkServer } from '../sdk/sdk-server.ts';
import { overrides, replaceToolRunner } from '../sdk/server-shape.ts';

/** They would register for every session. */
const REGISTRATIONS = ['registerTool', 'registerResource', 'registerPrompt', 'tool', 'resource', 'prompt'];

const CONNECTION = ['connect', 'close'];

/** A member like a method: code that wraps it may set it. */
const MEMBER = { configurable: true, writable: true };

export interface Facade {
  readonly server: SdkServer;
}

/** Prepares the definition's `McpServer`, and returns what creates the facades. */
export function createFacades(shared: SharedServer, highLevel: object): (light: SdkServer) => Facade {
  const members: Record<string, PropertyDescriptor> = {};
  for (const name of REGISTRATIONS) {
    if (name in highLevel) members[name] = { ...MEMBER, value: () => refuseRegistration(name) };
  }
  // A member of SDK 1 that registers tools with tasks.
  if ('experimental' in highLevel) members['experimental'] = { get: () => refuseRegistration('experimental') };
  for (const [name, change] of Object.entries(LIST_SENDS)) {
    // On a facade they tell this one session.
    members[name] = { ...MEMBER, value: Reflect.get(highLevel, name) as unknown };
    shared.override(highLevel, name, () => shared.announcements.listChanged(change));
  }
  const log = Reflect.get(highLevel, 'sendLoggingMessage') as ((...args: unknown[]) => unknown) | undefined;
  if (log !== undefined)
    shared.override(highLevel, 'sendLoggingMessage', function send(this: unknown, ...args) {
      // A facade sends on its own server.
      return log.apply(this, args);
    });
  replaceToolRunner(
    highLevel,
    (runner) => noticingRunner(runner, () => shared.announcements.endpoint?.notices),
    (member, runner) => shared.override(highLevel, member, runner),
  );
  for (const name of CONNECTION) {
    // Set on the object, as tracing tools do, or of a subclass. It may be bound to the definition.
    if (!overrides(highLevel, name)) continue;
    const own = Reflect.get(highLevel, name) as (this: Facade, ...args: unknown[]) => unknown;
    members[name] = {
      ...MEMBER,
      value(this: Facade, ...args: unknown[]): unknown {
        return shared.actAs(this.server, () => own.apply(this, args));
      },
    };
  }
  const base = Object.create(highLevel, members) as object;
  return (light) => {
    const facade = Object.create(base) as { server: SdkServer };
    facade.server = light;
    return facade;
  };
}
