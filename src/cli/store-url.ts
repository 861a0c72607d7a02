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

interface Scheme {
  /** Shown in errors about a server. */
  readonly example?: string;
  /** The package of a store that is a server. */
  readonly package?: string;
  open(url: string): Promise<Store>;
}

/** The store of a package beside this one. */
async function ofPackage(name: string, maker: string, url: string): Promise<Store> {
  const { [maker]: make } = (await import(name)) as Record<string, (url: string) => Store>;
  if (make === undefined) throw new Failure(`${name} has no ${maker}()`);
  return make(url);
}

const redis: Scheme = {
  example: 'redis://user:password@host:6379',
  package: 'sojourn-redis',
  open: (url) => ofPackage('sojourn-redis', 'redis', url),
};

const postgres: Scheme = {
  example: 'postgres://user:password@host:5432/database',
  package: 'sojourn-postgres',
  open: (url) => ofPackage('sojourn-postgres', 'postgres', url),
};

const SCHEMES: Readonly<Record<string, Scheme>> = {
  memory: {
    open: async (url) => {
      if (url.length > 'memory:'.length) throw new UsageError(`memory: takes no path; got ${JSON.stringify(url)}`);
      return (await import('../stores/memory/index.ts')).memory();
    },
  },
  sqlite: {
    open: async (url) => {
      const path = url.slice('sqlite:'.length);
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
  },
  redis,
  rediss: redis,
  postgres,
  postgresql: postgres,
};

/** `origin` is the flag or variable that gave the URL. */
export async function storeOf(url: string, origin: string): Promise<ChosenStore> {
  const name = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? '';
  const scheme = Object.hasOwn(SCHEMES, name) ? SCHEMES[name] : undefined;
  if (scheme === undefined) {
    const got = url.includes('@') ? `${name}:…` : url;
    throw new UsageError(
      `${origin} takes a store's URL, e.g. sqlite:./sessions.db, ${redis.example}, ${postgres.example}; ` +
        `got ${JSON.stringify(got)}`,
    );
  }
  const { package: needed } = scheme;
  // A reader of such a URL takes a part of the password for a host or a path, which errors name.
  const rest = url.slice(url.indexOf('//') + 2);
  const path = rest.search(/[/?#]/);
  const end = rest.lastIndexOf('@');
  const isBroken = (path >= 0 && end > path) || /%(?![\da-f]{2})/i.test(rest.slice(0, end + 1));
  if (needed !== undefined && isBroken)
    throw new UsageError(
      `${origin}: ${name}: has / ? # or a bare % before an @: write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25`,
    );
  try {
    const store = await scheme.open(url);
    return { store, shown: needed === undefined ? fileUrl(url) : shownUrl(url), remote: needed !== undefined };
  } catch (error) {
    if (needed !== undefined && codeOf(error) === 'ERR_MODULE_NOT_FOUND')
      throw new Failure(`${origin}: ${name}: needs a package that is not installed: npm install ${needed}`);
    const invalid = error instanceof UsageError || codeOf(error) === 'OPTION_INVALID';
    if (!invalid) throw error;
    const problem = reason(error).replace(/^Option [\w.]+: /, '');
    const hint = needed !== undefined ? `, e.g. ${scheme.example}` : '';
    throw new UsageError(`${origin}: ${problem}${problem.includes('e.g.') ? '' : hint}`, { cause: error });
  }
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
