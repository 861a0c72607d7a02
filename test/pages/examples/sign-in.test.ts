/**
 * The recipes of `docs/guide/sign-in.md`, from an empty folder: official clients, whose users are at a browser, and a deploy of
 * all parts in between.
 */
import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openBrowser } from '../../kit/chromium.ts';
import { installed, lackOf } from '../../installs/installed.ts';
import { startNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';
import { inMatrix } from '../../kit/matrix.ts';
import { type Approving, connectV1, connectV2 } from '../../kit/oauth-client.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

const root = resolve(import.meta.dirname, '../../..');
const examples = join(root, 'examples/sign-in');
const SECRET = 'a secret of tests that has more than 32 characters';

/** One process of a recipe. It prints its URL when it listens. */
interface Part {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

interface Recipe {
  readonly url: string;
  readonly folder: string;
  readonly parts: readonly Part[];
}

/** Beside its packages, which are not among those of this repository. */
async function betterAuth(): Promise<Recipe> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const runs = join(installed('sign-in'), 'node_modules/.runs');
  mkdirSync(runs, { recursive: true });
  const folder = mkdtempSync(join(runs, 'run-'));
  cpSync(examples, folder, { recursive: true });
  const env = { PORT: `${port}`, ORIGIN: origin, BETTER_AUTH_SECRET: SECRET };
  return { url: `${origin}/mcp`, folder, parts: [{ args: ['better-auth.js'], env }] };
}

async function oidcProvider(): Promise<Recipe> {
  const [own, port] = [await freePort(), await freePort()];
  const [issuer, url] = [`http://127.0.0.1:${own}`, `http://127.0.0.1:${port}/mcp`];
  const env = { ISSUER: issuer, RESOURCE: url, PORT: `${own}`, COOKIE_SECRET: SECRET };
  const cli = join(root, 'dist/cli/main.js');
  const server = [cli, 'serve', join(examples, 'notes.js'), '--store', 'sqlite:./mcp.db'];
  const auth = [
    '--auth-jwt-issuer',
    issuer,
    '--auth-jwt-audience',
    url,
    '--auth-required-scopes',
    'notes',
  ];
  const parts = [
    { args: [join(examples, 'issuer.js')], env },
    { args: [...server, ...auth, '--port', `${port}`], env: {} },
  ];
  return { url, folder: temporaryFolder(), parts };
}

/** Returns what deploys all parts. */
async function start({ folder, parts }: Recipe): Promise<() => Promise<void>> {
  const begin = async ({ args, env }: Part) => {
    const part = startNode(args, { cwd: folder, env: { ...process.env, ...env } });
    await part.says(/http:\/\/127\.0\.0\.1/);
    return part;
  };
  let running = await Promise.all(parts.map(begin));
  return async () => {
    expect(await Promise.all(running.map((part) => part.stop()))).toEqual(parts.map(() => 0));
    running = await Promise.all(parts.map(begin));
  };
}

/** A user with a browser of her own, who signs in where she is asked, and allows everything. */
class User implements Approving {
  /** The scopes that she was shown. */
  readonly shown: string[] = [];
  readonly #browser: Browser;
  readonly #mail: string;
  #context: Awaited<ReturnType<Browser['newContext']>> | undefined;

  constructor(browser: Browser, mail: string) {
    this.#browser = browser;
    this.#mail = mail;
  }

  async approve(url: URL): Promise<URLSearchParams> {
    if (this.#context === undefined) {
      const context = (this.#context = await this.#browser.newContext());
      onTestFinished(() => context.close());
    }
    const redirect = url.searchParams.get('redirect_uri') ?? '';
    const page = await this.#context.newPage();
    const redirected = page
      .waitForRequest((request) => request.url().startsWith(redirect))
      .then((request) => new URL(request.url()).searchParams);
    // An error of the issuer goes to the client at once.
    const failed = redirected.then((params) => expect(params.toString()).toBe('no error yet'));
    const [allow, mail] = [page.getByRole('button', { name: 'Allow' }), page.getByLabel('Mail')];
    await Promise.race([failed, page.goto(url.href).then(() => allow.or(mail).waitFor())]);
    if (await mail.isVisible()) {
      await mail.fill(this.#mail);
      await page.getByLabel('Password').fill('correct horse');
      await page.getByRole('button', { name: 'Make an account' }).click();
    }
    const asks = page.getByText('asks for');
    await asks.waitFor();
    this.shown.push((await asks.textContent()) ?? '');
    await allow.click();
    return redirected;
  }
}

const RECIPES = inMatrix<readonly [string, () => Promise<Recipe>, string]>(
  [
    ['oidc-provider', oidcProvider, ''],
    ['better-auth', betterAuth, lackOf('sign-in')],
  ],
  [['oidc-provider', oidcProvider, '']],
);

describe.each(RECIPES)('%s', (name, recipe, lack) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  test.skipIf(lack !== '')(
    `signs users in, and a deploy of all parts signs no one out${lack}`,
    { timeout: 120_000 },
    async () => {
      const made = await recipe();
      const deploy = await start(made);
      const ann = new User(browser, 'ann@example.com');
      // As Claude Code and VS Code.
      const first = await connectV1(made.url, ann, { redirect: 'http://127.0.0.1:33418/' });
      expect(await first.call('add_note', { note: 'milk' })).toBe('You have 1 notes.');
      await deploy();
      expect(await first.call('list_notes')).toBe('milk');
      const tokens = first.kept.get('tokens');
      const [, payload] = tokens.access_token.split('.');
      tokens.access_token = `expired.${payload}.`;
      expect(await first.call('list_notes')).toBe('milk');
      expect(first.kept.get('tokens').access_token).not.toContain('expired');

      const second = await connectV2('auto')(made.url, ann, {});
      expect(await second.call('list_notes')).toBe('milk');
      expect(ann.shown.map((text) => text.includes('notes:delete'))).toEqual([false, false]);
      expect(await second.call('delete_notes')).toBe('You have no notes.');
      expect(ann.shown[2]).toContain('test asks for');
      expect(ann.shown[2]).toContain('notes:delete');

      expect(await first.call('add_note', { note: 'bread' })).toBe('You have 1 notes.');
      const third = await connectV2('legacy')(made.url, new User(browser, 'bob@example.com'), {});
      expect(await third.call('list_notes')).toBe('You have no notes.');
    },
  );
});
