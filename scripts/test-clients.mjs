/**
 * `npm run test:clients`: the clients in other languages, those whose builds take minutes among them. `--write` keeps what
 * the users saw in docs/guide/clients.md. `--newest` takes the newest versions of the registries instead of the pinned.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { allClients, ensureClients, takeNewest } from './ensure-clients.mjs';
import { root } from './steps.mjs';

const flags = ['--write', '--newest'];
const [write, newest] = flags.map((flag) => process.argv.includes(flag));
const problems = await ensureClients(allClients, newest ? takeNewest : undefined);
const rest = process.argv.slice(2).filter((word) => !flags.includes(word));
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', 'test/clients/others.test.ts', ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, SOJOURN_CLIENTS: 'all', ...(write && { SOJOURN_CLIENTS_WRITE: '1' }) },
});
child.on('close', (code) => {
  process.exitCode = problems.length > 0 ? 1 : (code ?? 1);
});
