/** `--store URL`: the scheme chooses the store. A URL may hold a password, so a URL is never printed unchanged. */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import type { Store } from '../stores/store.ts';
import { redaction } from './redaction.ts';
import { Failure, UsageError, codeOf, reason } from './failure.ts';

export interface ChosenStore {
  readonly store: Store;
  /** The URL without secrets, for the banner. */
  readonly shown: string;
  /** The store is a server, which may be unreachable for a while. */
  readonly remote: boolean;
  /** Replaces the secrets of the URL in a text. */
  redact(text: string): string;
}

interface Scheme {
  /** Shown in errors about a server. */
  readonly example?: string;
  /** The package to install, for the client of a server. */
  readonly client?: string;
  /** The URL for the banner, if it has another form there. */
  shown?(url: string): string;
  open(url: string): Promise<Store>;
}

const redis: Scheme = {
  example: 'redis://user:password@host:6379',
  client: 'redis',
  open: async (url) => (await import('../stores/redis/index.ts')).redis(url),
};

const postgres: Scheme = {
  example: 'postgres://user:password@host:5432/database',
  client: 'pg',
  open: async (url) => (await import('../stores/postgres/index.ts')).postgres(url),
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
    shown: (url) => `sqlite:${resolve(url.slice('sqlite:'.length))}`,
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
  const redact = redactorOf(url);
  const { client } = scheme;
  if (client !== undefined && !isInstalled(client))
    throw new Failure(`${origin}: ${name}: needs a package that is not installed: npm install ${client}`);
  try {
    const store = await scheme.open(url);
    return { store, shown: scheme.shown?.(url) ?? shownUrl(url), remote: client !== undefined, redact };
  } catch (error) {
    const invalid = error instanceof UsageError || codeOf(error) === 'OPTION_INVALID';
    if (!invalid) throw error;
    const problem = redact(reason(error).replace(/^Option [\w.]+: /, ''));
    const hint = client !== undefined ? `, e.g. ${scheme.example}` : '';
    throw new UsageError(`${origin}: ${problem}${problem.includes('e.g.') ? '' : hint}`, { cause: error });
  }
}

/** Whether sojourn can import the package. */
export function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch (error) {
    // Other errors mean that the package is installed but has no export for `require`.
    return codeOf(error) !== 'MODULE_NOT_FOUND';
  }
}

/** The URL without user, password and parameters. */
function shownUrl(url: string): string {
  const [scheme, credentials, rest] = partsOf(url);
  // A password may hold any character. Behind one of these the URL might go on, or the password.
  const shown = credentials !== undefined && /[?#]/.test(credentials) ? '…' : rest.split(/[?#]/, 1)[0];
  return `${scheme}${shown ?? ''}`;
}

/** Its scheme, all that may be credentials, and what is behind the last `@`. */
function partsOf(url: string): [scheme: string, credentials: string | undefined, rest: string] {
  const from = url.indexOf('//') + 2;
  const at = url.lastIndexOf('@');
  if (from < 2 || at < from) return [url.slice(0, Math.max(from, 0)), undefined, url.slice(Math.max(from, 0))];
  return [url.slice(0, from), url.slice(from, at), url.slice(at + 1)];
}

/** Hides the secrets of `url` in a text. */
function redactorOf(url: string): (text: string) => string {
  const [, credentials] = partsOf(url);
  const user = credentials?.split(':', 1)[0];
  return redaction({
    credentials,
    query: url.includes('?') ? url.slice(url.indexOf('?') + 1) : '',
    shown: new Set([...shownUrl(url).split(/\W+/), ...(user === undefined ? [] : [user])]),
  });
}
