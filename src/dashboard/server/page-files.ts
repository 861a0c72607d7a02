/**
 * The files of the page, as the build left them in `dist/dashboard/page/`. They are read once, and a request names one
 * of those that were found: no path of a request reaches the file system.
 */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DashboardReply, type DashboardRequest, failed } from './faces.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

const SECURITY = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Every answer has these. */
export const withSecurity = (reply: DashboardReply): DashboardReply => ({
  ...reply,
  headers: { ...reply.headers, ...SECURITY },
});

const INDEX = 'index.html';
/** The build puts a hash of the text into the name. */
const HASHED = /-[A-Z0-9]{8}\.\w+$/;
const FOREVER = 'private, max-age=31536000, immutable';
/** A prefix is the last part of the path when the slash at its end is missing. */
const PREFIX = /^[\w-]{1,64}$/;

export class PageFiles {
  #files: Promise<ReadonlyMap<string, DashboardReply>> | undefined;

  /** `path`: with any prefix. */
  async serve({ path }: DashboardRequest): Promise<DashboardReply> {
    const last = path.slice(path.lastIndexOf('/') + 1);
    const files = await (this.#files ??= readFiles()).catch(() => {
      // The process may have too many open files for a while.
      this.#files = undefined;
      return new Map<string, DashboardReply>();
    });
    const found = files.get(last === '' ? INDEX : last);
    if (found !== undefined) return found;
    if (last === '' || !files.has(INDEX))
      return failed(404, 'page', 'This build of sojourn has no page: run npm run build');
    if (!PREFIX.test(last)) return failed(404, 'unknown', 'Not found');
    // The addresses of the page are relative to its folder. The fragment, which has the token, stays. `./` keeps a name
    // with a colon from being a scheme.
    return { status: 307, headers: { Location: `./${last}/`, 'Cache-Control': 'no-store' } };
  }
}

async function readFiles(): Promise<ReadonlyMap<string, DashboardReply>> {
  // Bundlers take `new URL(…, import.meta.url)` for a file to copy.
  const folder = join(dirname(fileURLToPath(import.meta.url)), '../dashboard/page');
  const files = new Map<string, DashboardReply>();
  for (const name of await readdir(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = await readFile(`${folder}/${name}`);
    const lasts = HASHED.test(name) ? FOREVER : 'no-cache';
    files.set(name, {
      status: 200,
      headers: { 'Content-Type': type, 'Cache-Control': lasts },
      body,
    });
  }
  return files;
}
