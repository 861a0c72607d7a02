/**
 * `sojourn serve --dashboard`: the page, the token of its flag or variable, which workers share, and what it refuses to
 * begin with. Attacks on it: `test/security/dashboard-access.test.ts`. Its files in a browser: `test/dashboard/page`.
 */
import { describe, expect, test } from 'vitest';
import type { FleetPage, RecordRows, SessionRow } from '../../src/dashboard/wire.ts';
import { ask, jsonOf } from '../kit/dashboard.ts';
import { openClient } from '../kit/listening.ts';
import { until } from '../kit/until.ts';
import { program, runProcess, startCli } from './cli-process.ts';
import { startWorkers } from './workers-process.ts';

const MODULE = program('worker-server.mjs');
const TOKEN = 'a-token-of-sixteen';
const ACT = { authorization: `Bearer ${TOKEN}`, 'sojourn-dashboard': '1' };

async function served(args: string[] = [], env: Record<string, string> = {}) {
  const cli = startCli(['serve', MODULE, '--port', '0', '--dashboard', ...args], { env });
  const url = new URL(await cli.url());
  return { cli, port: Number(url.port), url: url.href };
}

test('on a loopback address the page is served, and looking needs the token, as acting does', async () => {
  const { port, url } = await served(['--dashboard-token', TOKEN]);
  expect((await ask(port, '/dashboard')).headers.location).toBe('./dashboard/');
  const page = await ask(port, '/dashboard/');
  expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  expect((await ask(port, '/elsewhere')).status).toBe(404);

  await openClient(url).initialize();
  for (const path of ['fleet', 'sessions', 'tasks'])
    expect([path, (await ask(port, `/dashboard/api/${path}`)).status]).toEqual([path, 401]);
  const sessions = await ask(port, '/dashboard/api/sessions', { headers: ACT });
  const end = `/dashboard/api/sessions/${jsonOf<RecordRows<SessionRow>>(sessions).rows[0]?.hash}/end`;
  const fleet = await ask(port, '/dashboard/api/fleet', { headers: ACT });
  expect(jsonOf<FleetPage>(fleet)).toMatchObject({ endpoint: url });
  expect(
    (await ask(port, end, { method: 'POST', headers: { 'sojourn-dashboard': '1' } })).status,
  ).toBe(401);
  expect((await ask(port, end, { method: 'POST', headers: ACT })).status).toBe(200);

  // A page that reaches it under another name sees nothing.
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.nip.io', '0.0.0.0'])
    for (const path of ['', 'api/sessions', 'api/fleet'])
      expect([
        host,
        path,
        (await ask(port, `/dashboard/${path}`, { headers: { host } })).status,
      ]).toEqual([host, path, 403]);
});

test('no token is printed to a file, and the address is, which opens beside any allowedHosts', async () => {
  const { cli, port } = await served(['--allowed-hosts', 'mcp.example']);
  expect(cli.output.stdout).toContain(
    `  dashboard http://127.0.0.1:${port}/dashboard/ (set SOJOURN_DASHBOARD_TOKEN to look)\n`,
  );
  expect((await ask(port, '/dashboard/api/sessions')).status).toBe(401);
  expect(cli.output.stdout + cli.output.stderr).not.toContain('token=');
});

describe('on an address that other machines reach', () => {
  test('it does not begin without a token, where no terminal shows one', async () => {
    const { code, stderr } = await runProcess([
      'serve',
      MODULE,
      '--port',
      '0',
      '--host',
      '0.0.0.0',
      '--dashboard',
    ]);
    expect([code, stderr.includes('set SOJOURN_DASHBOARD_TOKEN')]).toEqual([2, true]);
  });

  test('looking needs the token too; the banner warns of the open address, and once', async () => {
    const { cli, port } = await served(['--host', '0.0.0.0'], { SOJOURN_DASHBOARD_TOKEN: TOKEN });
    expect(cli.output.stdout).toContain('WARNING');
    expect(cli.output.stderr).not.toContain('Every machine that reaches this address');
    expect((await ask(port, '/dashboard/api/sessions')).status).toBe(401);
    expect((await ask(port, '/dashboard/api/sessions', { headers: ACT })).status).toBe(200);
  });
});

test(
  'every worker takes the one token, shows all workers, and drains another one',
  { timeout: 90_000 },
  async () => {
    const workers = startWorkers({
      workers: 3,
      flags: ['--dashboard', '--dashboard-token', TOKEN],
    });
    const port = Number(new URL(await workers.url()).port);
    const look = async () =>
      jsonOf<FleetPage>(await ask(port, '/dashboard/api/fleet', { headers: ACT }));
    const fleet = await until(async () => {
      const found = await look();
      return found.instances.filter(({ figures }) => figures !== undefined).length === 3
        ? found
        : undefined;
    });
    const other = fleet?.instances.find(({ id }) => id !== fleet.instance);
    const order = `/dashboard/api/instances/${other?.id}/drain`;
    expect((await ask(port, order, { method: 'POST', headers: ACT })).status).toBe(200);
    await until(
      async () => (await look()).instances.find(({ id }) => id === other?.id)?.state === 'left',
    );
  },
);
