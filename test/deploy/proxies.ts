/** The load balancers of `proxy-program.ts` in tests, which need them installed. */
import { describe } from 'vitest';
import { findProxy, type ProxyKind } from './proxy-program.ts';

export { type Proxy, type ProxyKind, recipe, ROUND_ROBIN, startProxy } from './proxy-program.ts';

const INSTALL: Readonly<Record<ProxyKind, string>> = {
  nginx: 'Debian: apt-get install nginx',
  haproxy: 'Debian: apt-get install haproxy',
  envoy: 'node scripts/servers.mjs',
  traefik: 'node scripts/servers.mjs',
};

/** As for the servers of stores: missing, they fail under CI and are skipped by name elsewhere. */
export const isTested = (kind: ProxyKind): boolean => findProxy(kind) !== undefined || Boolean(process.env['CI']);

export function describeBehind(kind: ProxyKind, title: string, tests: () => void): void {
  if (isTested(kind)) describe(title, tests);
  else describe.skip(`${title} (${kind} is not installed; ${INSTALL[kind]})`, tests);
}
