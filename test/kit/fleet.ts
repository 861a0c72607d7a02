/** Several endpoints of one process that share one store, as instances of one deployment behind a load balancer. */
import type { McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { RawClient, RawClientOptions } from './raw-client.ts';
import { createLab, type Lab } from './lab.ts';
import { serve, type Served, type ServeSettings } from './serve.ts';

export interface Member extends Served {
  readonly lab: Lab;
  /** Its instance id. */
  readonly id: string;
  /** A client for the same session, connected to this instance. */
  join(client: RawClient, options?: RawClientOptions): RawClient;
}

/** A function returns the store of each member. */
export type FleetOptions = Omit<McpEndpointOptions, 'store'> & {
  store?: Store | (() => Store) | undefined;
};

type Members<Size extends number> = Size extends 1
  ? [Member]
  : Size extends 2
    ? [Member, Member]
    : Size extends 3
      ? [Member, Member, Member]
      : Member[];

/** `settings` and `labs` by position; a missing entry is the default. */
export async function serveFleet<Size extends number>(
  size: Size,
  { store = memory(), ...options }: FleetOptions = {},
  settings: readonly ServeSettings[] = [],
  labs: readonly Lab[] = [],
): Promise<Members<Size>> {
  const members: Member[] = [];
  for (let n = 0; n < size; n++) {
    const own = { ...options, store: typeof store === 'function' ? store() : store };
    members.push(await serveMember(own, settings[n], labs[n]));
  }
  return members as Members<Size>;
}

export async function serveMember(
  options: McpEndpointOptions,
  settings?: ServeSettings,
  lab = createLab(),
): Promise<Member> {
  const served = await serve(lab.factory, options, settings);
  return {
    ...served,
    lab,
    get id() {
      return served.endpoint.health().instance;
    },
    join: (client, clientOptions) => served.client({ ...clientOptions, of: client }),
  };
}
