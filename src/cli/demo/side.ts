/** One side of the demo: three processes, the front before them, and six clients. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Buttons } from './buttons.ts';
import { Front, type Policy } from './front.ts';
import { DemoInstance, type InstanceHost } from './instance-process.ts';
import { connect, type DemoConnection, type Era } from './official-clients.ts';
import { type Name, NAMES } from './instance-names.ts';
import { type ClientHost, ScriptedClient } from './scripted-client.ts';

const CLIENTS: ReadonlyArray<readonly [name: string, era: Era]> = [
  ['A', '2025'],
  ['B', '2025'],
  ['C', '2025'],
  ['D', '2025'],
  ['E', '2026'],
  ['F', '2026'],
];

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export const storeFile = (folder: string): string => join(folder, 'sessions.db');

/** The arguments of `node` for an instance on sojourn. */
export const sojournArgs = (folder: string): readonly string[] => [
  beside('../main.js'),
  'serve',
  beside('./counter.js'),
  `--store=sqlite:${storeFile(folder)}`,
  '--resume-modern-calls',
  // A client whose stream is cut comes back after 500 ms; the default is 4 s.
  '--retry-ms=500',
  '--port=0',
  // The process that serves is killed and frozen, so it has no supervisor.
  '--workers=0',
  '--dashboard',
  '--log-level=error',
];

/** What makes a side. */
export interface SidePlan {
  /** The arguments of `node` for each instance. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How the front chooses. */
  readonly policy: Policy;
  /** What the front answers itself. */
  readonly buttons?: Buttons;
}

/** For an instance on the SDK's own transport. */
export const sdkArgs = (): readonly string[] => [beside('./map.js')];

export class Side {
  readonly instances: readonly DemoInstance[];
  readonly front: Front;
  readonly clients: readonly ScriptedClient[];

  private constructor(instances: readonly DemoInstance[], front: Front, clients: readonly ScriptedClient[]) {
    this.instances = instances;
    this.front = front;
    this.clients = clients;
  }

  /** Starts the processes and connects the clients. */
  static async open(
    { args, env = {}, policy, buttons }: SidePlan,
    host: InstanceHost & ClientHost,
    opened: (instances: readonly DemoInstance[]) => void,
  ): Promise<Side> {
    const instances = NAMES.map((name) => new DemoInstance(name, { args, env }, host));
    opened(instances);
    await Promise.all(instances.map((instance) => instance.start()));
    const front = await Front.listen(instances, policy, buttons);
    // At once, as clients come: so their sessions are spread over the instances.
    const connections = await Promise.all(CLIENTS.map(([name, era]) => connect(era, name, front.url)));
    const clients = CLIENTS.map(
      ([name, era], n) => new ScriptedClient(name, era, connections[n] as DemoConnection, host),
    );
    await Promise.all(clients.map((client) => client.warmUp()));
    return new Side(instances, front, clients);
  }

  instance(name: Name): DemoInstance {
    return this.instances[NAMES.indexOf(name)] as DemoInstance;
  }

  run(): void {
    for (const client of this.clients) void client.run();
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.stop();
    await this.front.close();
  }
}
