/**
 * `npm run test:clients`: every client in every case. `--client NAME`, `--case NAME`, `--store redis|postgres` pick one. `--write` keeps what the users saw
 * in docs/internals/clients.md. `--newest` takes the newest versions of the registries instead of the pinned.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allClients, ensureClients, takeNewest } from './ensure-clients.mjs';
import { root } from './steps.mjs';

const { values } = parseArgs({
  options: {
    client: { type: 'string' },
    case: { type: 'string' },
    store: { type: 'string' },
    write: { type: 'boolean', default: false },
    newest: { type: 'boolean', default: false },
  },
});
if (values.client !== undefined && !allClients.includes(values.client)) {
  console.error(`--client ${values.client}: the clients are ${allClients.join(', ')}`);
  process.exit(1);
}
if (values.write && (values.client ?? values.case ?? values.store) !== undefined) {
  console.error('--write keeps a whole run: leave out --client, --case and --store');
  process.exit(1);
}
const names = values.client === undefined ? allClients : [values.client];
const problems = await ensureClients(names, values.newest ? takeNewest : undefined);
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', '--reporter', 'verbose', 'test/clients/others.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    SOJOURN_CLIENTS: 'all',
    ...(values.client && { SOJOURN_CLIENT: values.client }),
    ...(values.case && { SOJOURN_CASE: values.case }),
    ...(values.store && { SOJOURN_STORE_KIND: values.store }),
    ...(values.write && { SOJOURN_CLIENTS_WRITE: '1' }),
  },
});
child.on('close', (code) => {
  process.exitCode = problems.length > 0 ? 1 : (code ?? 1);
});
