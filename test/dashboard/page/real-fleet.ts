/** A real deployment: processes of `sojourn serve --dashboard` on one store. */
import { fileURLToPath } from 'node:url';
import { TOKEN } from '../../kit/dashboard.ts';
import { type Fleet, type InstanceOptions, startFleet } from '../../pages/deploy/instances.ts';

const MODULE = fileURLToPath(new URL('processes/tools.mjs', import.meta.url));

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
