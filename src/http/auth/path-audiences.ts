/**
 * What a token is for at each path of an endpoint. A path of `listen()` has the audiences whose URL
 * ends with it, as a proxy may strip the path before it; where paths end alike the longest counts:
 *
 *     listen({ path: ['/git/mcp', '/notes/mcp'] }), audience: ['https://a.example/git/mcp', 'https://a.example/notes/mcp']
 *     POST /notes/mcp ─▶ the metadata document and the challenge of the second, and no token for the first alone
 *
 * Where no audience ends with a path, and on the faces `node` and `fetch`, which know no path,
 * every audience counts.
 */
import type { ResolvedAuth } from '../../base/options/resolve-auth.ts';
import type { ServedPath } from '../exchange.ts';
import type { Needs } from './context.ts';

export interface PathAudience {
  /** Differs where the audiences do. */
  readonly key: string;
  readonly audience: readonly string[];
  readonly resource: URL | undefined;
  readonly needs: Needs;
}

export class PathAudiences {
  readonly #auth: ResolvedAuth;
  readonly #audience: readonly string[];
  readonly #known = new Map<string, PathAudience>();
  readonly #ofAll: PathAudience;

  constructor(auth: ResolvedAuth) {
    const { identification } = auth;
    this.#auth = auth;
    this.#audience = identification.by === 'jwt' ? identification.jwt.audience : [];
    this.#ofAll = this.#made('', this.#audience, undefined);
  }

  at(served: ServedPath | undefined): PathAudience {
    if (served === undefined || this.#audience.length < 2) return this.#ofAll;
    const key = JSON.stringify([served.path, served.paths]);
    const known = this.#known.get(key) ?? this.#find(key, served);
    this.#known.set(key, known);
    return known;
  }

  #find(key: string, { path, paths }: ServedPath): PathAudience {
    const isOwn = (one: string): boolean => pathOf(one, paths) === path;
    if (!this.#audience.some(isOwn)) return this.#ofAll;
    const audience = this.#audience.filter((one) => isOwn(one) || pathOf(one, paths) === undefined);
    return this.#made(key, audience, isOwn);
  }

  #made(
    key: string,
    audience: readonly string[],
    isOwn: ((resource: string) => boolean) | undefined,
  ): PathAudience {
    const { resources, requiredScopes } = this.#auth;
    const own = resources.find(({ document }) => isOwn?.(document.resource)) ?? resources[0];
    return {
      key,
      audience,
      resource: own && new URL(own.document.resource),
      needs: {
        requiredScopes: [...requiredScopes],
        ...(own !== undefined && { resourceMetadataUrl: own.url }),
      },
    };
  }
}

/** The path with which the URL ends; `undefined`: none of them, or it is no URL. */
function pathOf(audience: string, paths: readonly string[]): string | undefined {
  if (!URL.canParse(audience)) return undefined;
  const path = new URL(audience).pathname.replace(/\/$/, '');
  return paths
    .filter((one) => path.endsWith(one))
    .toSorted((one, other) => other.length - one.length)[0];
}
