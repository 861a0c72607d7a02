/**
 * `--store URL`: the scheme chooses the store. A URL may hold a password: of a server's URL, the scheme and the host
 * alone are printed. No error of a store has its URL.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import type { Store } from '../stores/store.ts';
import { Failure, UsageError, codeOf, reason } from './failure.ts';

export interface ChosenStore {
  readonly store: Store;
  /** Scheme and host of a server, or the file, for the banner. */
  readonly shown: string;
  /** The store is a server, which may be unreachable for a while. */
  readonly remote: boolean;
}

/** Shown in errors. */
const EXAMPLES = {
  redis: 'redis://user:password@host:6379',
  postgres: 'postgres://user:password@host:5432/database',
};

/** The stores that are servers. Each is a package `sojourn-<maker>`, which exports `<maker>()`. */
const MAKERS: ReadonlyMap<string, keyof typeof EXAMPLES> = new Map([
  ['redis', 'redis'],
  ['rediss', 'redis'],
  ['postgres', 'postgres'],
  ['postgresql', 'postgres'],
]);

/** `origin` is the flag or variable that gave the URL. */
export async function storeOf(url: string, origin: string): Promise<ChosenStore> {
  const [, scheme = '', path = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(url) ?? [];
  const name = scheme.toLowerCase();
  const maker = MAKERS.get(name);
  try {
    if (name === 'memory')
      return {
        store: (await import('../stores/memory/index.ts')).memory(),
        shown: url,
        remote: false,
      };
    if (name === 'sqlite')
      return { store: await fileStore(path), shown: `sqlite:${resolve(path)}`, remote: false };
    // A reader of such a URL takes a part of the password for a host or a path, which errors name.
    if (maker !== undefined && isBroken(url))
      throw new UsageError(
        `${name}: has / ? # or a bare % before an @: write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25`,
      );
    if (maker !== undefined)
      return { store: await serverStore(maker, url), shown: shownUrl(url), remote: true };
  } catch (error) {
    if (maker !== undefined && codeOf(error) === 'ERR_MODULE_NOT_FOUND')
      throw new Failure(
        `${origin}: ${name}: needs a package that is not installed: npm install sojourn-${maker}`,
      );
    if (!(error instanceof UsageError) && codeOf(error) !== 'OPTION_INVALID') throw error;
    throw new UsageError(`${origin}: ${reason(error).replace(/^Option [\w.]+: /, '')}`, {
      cause: error,
    });
  }
  const got = url.includes('@') ? `${/^[^:@]*:/.exec(url)?.[0] ?? ''}…` : url;
  throw new UsageError(
    `${origin} takes a store's URL, e.g. sqlite:./sessions.db, ${EXAMPLES.redis}, ${EXAMPLES.postgres}; ` +
      `got ${JSON.stringify(got)}`,
  );
}

async function fileStore(path: string): Promise<Store> {
  if (path === '') throw new UsageError('sqlite: needs a file, e.g. sqlite:./sessions.db');
  const name = path.replace(/^[/]+/, '');
  if (path.startsWith('//'))
    throw new UsageError(
      `sqlite:${path} would be a file in the root folder: write sqlite:./${name} for the folder of this command, ` +
        `or sqlite:/${name} for that path`,
    );
  return (await import('../stores/sqlite/index.ts')).sqlite(path);
}

async function serverStore(maker: keyof typeof EXAMPLES, url: string): Promise<Store> {
  return ((await import(`sojourn-${maker}`)) as Record<typeof maker, (url: string) => Store>)[
    maker
  ](url);
}

function isBroken(url: string): boolean {
  const rest = url.slice(url.indexOf('//') + 2);
  const path = rest.search(/[/?#]/);
  const end = rest.lastIndexOf('@');
  return (path >= 0 && end > path) || /%(?![\da-f]{2})/i.test(rest.slice(0, end + 1));
}

/** What the banner and errors name the store by: where it is, and nothing else of its URL. */
const shownUrl = (url: string): string => {
  // PostgreSQL's may have no host after its user.
  const { protocol, host } = new URL(url.replace('@/', '@localhost/'));
  return `${protocol}//${host}`;
};

const FOLDER = '.sojourn';

/** Makes the folder of the stores of `sojourn dev` and `sojourn stdio`. */
export function projectFolder(cwd: string): string {
  const folder = join(cwd, FOLDER);
  // The store says what is wrong with a folder that cannot be made, or whose disk is full.
  orUndefined(() => {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined)
      writeFileSync(join(folder, '.gitignore'), '*\n');
  });
  return folder;
}

/**
 * The store of `sojourn dev`, where neither the command line nor the module names one: a file in the folder. Each
 * module has its own file: instances that share a store serve one another's sessions.
 */
export async function projectStore(module: string, cwd: string): Promise<ChosenStore> {
  const folder = projectFolder(cwd);
  const name = relative(cwd, resolve(cwd, module)).replaceAll(/[^\w.-]/g, '-');
  return storeOf(`sqlite:${join(folder, `${name}.db`)}`, 'sojourn dev');
}
