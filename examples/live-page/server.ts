/**
 * A page of a browser that a model opens, and that survives a deploy by its address and its cookies:
 *
 *     npm install playwright-core && npx tsx server.ts
 *
 * Calls for a page run on the instance that has it open. `ORIGINS`: the sites that a model may open.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { type Browser, chromium, type Page } from 'playwright-core';
import { createMcpEndpoint, live, type LiveOptions, type State } from 'sojourn';
import { sqlite } from 'sojourn/sqlite';
import { z } from 'zod';

const {
  CHROMIUM = '/usr/bin/chromium',
  ORIGINS = 'https://example.com',
  PORT = '3000',
  STORE = 'pages.db',
} = process.env;
const origins = ORIGINS.split(',');
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
let browser: Promise<Browser> | undefined;

/** One browser has all pages. After its end the next page starts another one. */
async function start(): Promise<Browser> {
  const forget = (): void => void (browser = undefined);
  const started = await chromium
    .launch({ executablePath: CHROMIUM, args })
    .catch((err: unknown) => {
      forget();
      throw err;
    });
  return started.once('disconnected', forget);
}

const pages: LiveOptions<Page, { page?: string | undefined }> = {
  kind: 'page',
  id: ({ page }) => page,
  async open(state) {
    browser ??= start();
    const context = await (await browser).newContext();
    await context.route('**', (route) =>
      origins.includes(new URL(route.request().url()).origin) ? route.continue() : route.abort(),
    );
    await context.addCookies((await state.get('cookies')) ?? []);
    const page = await context.newPage();
    const url = await state.get<string>('url');
    if (url !== undefined) await page.goto(url);
    return page;
  },
  isOpen: (page) => !page.isClosed() && page.context().browser()?.isConnected() === true,
  close: (page) => page.context().close(),
};

/** Stores what another process needs to open the page again. */
async function keep(page: Page, state: State): Promise<void> {
  await state.set('url', page.url());
  await state.set('cookies', await page.context().cookies());
}

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const named = { page: z.string().describe('The id that open_page gave') };

function factory(): McpServer {
  const server = new McpServer({ name: 'pages', version: '1.0.0' });
  server.registerTool(
    'open_page',
    {
      description: 'Opens an address in the page with this id, or in a new one. Says its id.',
      inputSchema: z.object({ page: z.string().optional(), url: z.url() }),
    },
    live(pages, async ({ url }, _, { object: page, handle }) => {
      await page.goto(url);
      await keep(page, handle.state);
      return say(`page ${handle.id}: ${await page.title()}`);
    }),
  );
  server.registerTool(
    'click',
    {
      description: 'Clicks what has this text',
      inputSchema: z.object({ ...named, text: z.string() }),
    },
    live(pages, async ({ text }, _, { object: page, handle }) => {
      await page.getByText(text).click();
      await page.waitForLoadState();
      await keep(page, handle.state);
      return say(await page.innerText('body'));
    }),
  );
  server.registerTool(
    'look',
    {
      description: 'Takes a picture of a page',
      inputSchema: z.object(named),
      annotations: { readOnlyHint: true },
    },
    live(pages, async (_args, _, { object: page }) => {
      const data = (await page.screenshot()).toString('base64');
      return { content: [{ type: 'image' as const, data, mimeType: 'image/png' }] };
    }),
  );
  server.registerTool(
    'close_page',
    { description: 'Closes a page', inputSchema: z.object(named) },
    live(pages, async (_args, _, { handle }) => say(`closed: ${await handle.end()}`)),
  );
  return server;
}

const endpoint = createMcpEndpoint(factory, { store: sqlite(STORE) });
console.log((await endpoint.listen({ port: Number(PORT) })).url);
process.once('SIGTERM', () => void endpoint.close().then(async () => (await browser)?.close()));
