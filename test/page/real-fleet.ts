/** A real deployment: processes of `sojourn serve --dashboard` on one store, and one address for all of them. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Fleet, type InstanceOptions, startFleet } from '../deploy/instances.ts';

const MODULE = fileURLToPath(new URL('processes/tools.mjs', import.meta.url));

export const TOKEN = 'a-token-of-this-test';

/** Three instances. `more`: further options of each. */
export const startDashboards = (
  store: string | undefined,
  flags: readonly string[],
  more: (n: number) => InstanceOptions = () => ({}),
): Promise<Fleet> =>
  startFleet(3, store, (n) => ({
    module: MODULE,
    flags: ['--dashboard', '--dashboard-token', TOKEN, ...flags],
    ...more(n),
  }));

/** One address for all instances, as a balancer without checks gives: the first one that accepts gets a connection. */
export async function balanced(ports: readonly number[]): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((client) => {
    client.on('error', () => {});
    const pass = ([port, ...others]: readonly number[]): void => {
      if (port === undefined) return void client.destroy();
      const target = connect(port, '127.0.0.1');
      target.once('connect', () => {
        target.on('close', () => client.destroy());
        client.on('close', () => target.destroy());
        client.pipe(target).pipe(client);
      });
      target.on('error', () => (target.connecting || target.pending ? pass(others) : client.destroy()));
    };
    pass(ports);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}
