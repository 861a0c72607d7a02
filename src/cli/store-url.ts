/**
 * `--store URL`: the scheme chooses the store. A URL may hold a password: of a server's URL, the scheme and the host
 * alone are printed. No error of a store has its URL.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Store } from '../stores/store.ts';
import { Failure, UsageError, codeOf, reason } from './failure.ts';

export interface ChosenStore {
  readonly store: Store;
  /** Scheme and host of a server, or the file, for the banner. */
  readonly shown: string;
  /** The store is a server, which may be unreachable for a while. */
  readonly remote: boolean;
}

/** The stores of this package, by their scheme. `path`: what follows the colon. */
const OWN: Readonly<Record<string, (path: string) => Promise<Store>>> = {
  async memory(path) {
    if (path !== '') throw new UsageError(`memory: takes no path; got ${JSON.stringify(`memory:${path}`)}`);
    return (await import('../stores/memory/index.ts')).memory();
  },
  async sqlite(path) {
    if (path === '') throw new UsageError('sqlite: needs a file, e.g. sqlite:./sessions.db');
    if (path.startsWith('//')) {
      const name = path.replace(/^[/]+/, '');
      throw new UsageError(
        `sqlite:${path} would be a file in the root folder: write sqlite:./${name} for the folder of this command, ` +
          `or sqlite:/${name} for that path`,
      );
    }
    return (await import('../stores/sqlite/index.ts')).sqlite(path);
  },
};

/** A store that is a server, of the package `sojourn-<maker>`, which exports `<maker>()`. */
interface Server {
  readonly maker: string;
  /** Shown in errors. */
  readonly example: string;
}

const redis: Server = { maker: 'redis', example: 'redis://user:password@host:6379' };
const postgres: Server = { maker: 'postgres', example: 'postgres://user:password@host:5432/database' };
const SERVERS: Readonly<Record<string, Server>> = { redis, rediss: redis, postgres, postgresql: postgres };

/** `origin` is the flag or variable that gave the URL. */
export async function storeOf(url: string, origin: string): Promise<ChosenStore> {
  const name = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? '';
  const own = Object.hasOwn(OWN, name) ? OWN[name] : undefined;
  const server = Object.hasOwn(SERVERS, name) ? SERVERS[name] : undefined;
  // A reader of such a URL takes a part of the password for a host or a path, which errors name.
  if (server !== undefined && isBroken(url))
    throw new UsageError(
      `${origin}: ${name}: has / ? # or a bare % before an @: write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25`,
    );
  try {
    if (own !== undefined) return { store: await own(url.slice(name.length + 1)), shown: fileUrl(url), remote: false };
    if (server !== undefined) return { store: await served(server, url), shown: shownUrl(url), remote: true };
  } catch (error) {
    if (server !== undefined && codeOf(error) === 'ERR_MODULE_NOT_FOUND')
      throw new Failure(
        `${origin}: ${name}: needs a package that is not installed: npm install sojourn-${server.maker}`,
      );
    const invalid = error instanceof UsageError || codeOf(error) === 'OPTION_INVALID';
    if (!invalid) throw error;
    const problem = reason(error).replace(/^Option [\w.]+: /, '');
    const hint = server === undefined || problem.includes('e.g.') ? '' : `, e.g. ${server.example}`;
    throw new UsageError(`${origin}: ${problem}${hint}`, { cause: error });
  }
  const got = url.includes('@') ? `${name}:…` : url;
  throw new UsageError(
    `${origin} takes a store's URL, e.g. sqlite:./sessions.db, ${redis.example}, ${postgres.example}; ` +
      `got ${JSON.stringify(got)}`,
  );
}

async function served({ maker }: Server, url: string): Promise<Store> {
  const { [maker]: make } = (await import(`sojourn-${maker}`)) as Record<string, (url: string) => Store>;
  if (make === undefined) throw new Failure(`sojourn-${maker} has no ${maker}()`);
  return make(url);
}

function isBroken(url: string): boolean {
  const rest = url.slice(url.indexOf('//') + 2);
  const path = rest.search(/[/?#]/);
  const end = rest.lastIndexOf('@');
  return (path >= 0 && end > path) || /%(?![\da-f]{2})/i.test(rest.slice(0, end + 1));
}

/** `memory:`, or `sqlite:` and the whole path. */
const fileUrl = (url: string): string =>
  url.replace(/^(sqlite:)(.*)$/i, (_all, scheme, path) => scheme + resolve(path));

/** What the banner and errors name the store by: where it is, and nothing else of its URL. */
const shownUrl = (url: string): string => {
  // PostgreSQL's may have no host after its user.
  const { protocol, host } = new URL(url.replace('@/', '@localhost/'));
  return `${protocol}//${host}`;
};

const FOLDER = '.sojourn';

/**
 * The store of `sojourn dev`, where neither the command line nor the module names one: a file in the folder. Each
 * module has its own file: instances that share a store serve one another's sessions.
 */
export async function projectStore(module: string, cwd: string): Promise<ChosenStore> {
  const folder = join(cwd, FOLDER);
  try {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined)
      writeFileSync(join(folder, '.gitignore'), '*\n');
  } catch (cause) {
    throw new Failure(`cannot make the folder ${folder}: ${reason(cause)}; choose another store with --store`, {
      cause,
    });
  }
  const name = relative(cwd, resolve(cwd, module)).replaceAll(/[^\w.-]/g, '-');
  return storeOf(`sqlite:${join(folder, `${name}.db`)}`, 'sojourn dev');
}
