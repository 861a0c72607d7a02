/** The page under a prefix of an application's own server, with payloads: from the build, which has the page. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createRawClient } from '../kit/raw-client.ts';
import { violations } from './axe.ts';
import { lacksBrowser, openBrowser, openPage } from './browser.ts';

const TOKEN = 'a-token-of-this-test';
const BUILD = new URL('../../dist/index.js', import.meta.url).href;

async function mounted(): Promise<string> {
  const { createMcpEndpoint } = (await import(BUILD)) as typeof import('../../src/index.ts');
  const endpoint = createMcpEndpoint(() => {
    const server = new McpServer({ name: 'notes', version: '1.0.0' });
    const inputSchema = z.object({ text: z.string(), password: z.string() });
    server.registerTool('keep', { inputSchema }, ({ text }) => ({ content: [{ type: 'text', text: `kept ${text}` }] }));
    return server;
  });
  const dashboard = endpoint.dashboard({ token: TOKEN, authorize: () => true, payloads: 'values' });
  const server = createServer((req, res) =>
    req.url?.startsWith('/admin/board') === true ? dashboard.node(req, res) : endpoint.node(req, res),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    await endpoint.close();
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.skipIf(lacksBrowser)(
  'payloads are shown on demand, redacted, and curl has no secret',
  { timeout: 120_000 },
  async () => {
    const browser = await openBrowser();
    onTestFinished(() => browser.close());
    const origin = await mounted();
    const client = createRawClient(`${origin}/mcp`);
    onTestFinished(() => client.close());
    await client.initialize({ clientInfo: { name: 'keeper', version: '1.0' } });
    const keep = () => client.call('tools/call', { name: 'keep', arguments: { text: 'a note', password: 'hunter2' } });
    await keep();

    // Without the slash at its end: the address is completed, and the fragment stays until the page has read it.
    const permissions = ['clipboard-read', 'clipboard-write'];
    const { page, complaints } = await openPage(browser, `${origin}/admin/board#token=${TOKEN}`, { permissions });
    await page.locator('.river').waitFor();
    expect(page.url()).toBe(`${origin}/admin/board/#/fleet`);
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await page.locator('.vrow').filter({ hasText: 'keeper' }).click();

    await page.getByRole('button', { name: 'Show for this session…' }).click();
    await page.getByText('Earlier messages cannot be shown').waitFor();
    await page.getByRole('button', { name: 'Show for 5 minutes' }).click();
    await page
      .locator('.facts')
      .getByText(/^for \d+ (s|min) more/)
      .waitFor();
    await keep();
    const row = page
      .locator('.tl li')
      .filter({ hasText: 'keep' })
      .filter({ has: page.locator('.xp') })
      .first();
    await row.locator('.xp').click();
    await page.locator('.payload').getByText('a note', { exact: false }).first().waitFor();
    expect(await page.content()).not.toContain('hunter2');

    await page.getByRole('button', { name: 'Copy as curl' }).click();
    await page.getByText(/^Copied\. It names/).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied).toContain('$MCP_SESSION_ID');
    for (const secret of [client.sessionId ?? '', TOKEN]) expect(copied).not.toContain(secret);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);

    // A caller that `authorize` lets look is asked for the token by an action, and no other text is taken for it.
    const { page: looking } = await openPage(browser, `${origin}/admin/board/`);
    await looking.locator('.river').waitFor();
    await looking.keyboard.press('g');
    await looking.keyboard.press('s');
    await looking.locator('.vrow').filter({ hasText: 'keeper' }).click();
    await looking.getByRole('button', { name: 'End session…' }).click();
    const dialog = looking.getByRole('dialog');
    await dialog.getByLabel('Token').fill('not-the-token-at-all');
    await dialog.getByRole('button', { name: 'End session', exact: true }).click();
    await looking.getByText('This is not the token.').waitFor();
    await dialog.getByLabel('Token').fill(TOKEN);
    await dialog.getByRole('button', { name: 'End session', exact: true }).click();
    await looking.getByText('Its id answers 404').waitFor();
  },
);
