/**
 * The files of the page, as the build left them in `dist/dashboard/page/`. They are read once, and a request names one
 * of those that were found: no path of a request reaches the file system.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress } from 'node:zlib';
import { type DashboardRequest, failed, type DashboardReply } from './dashboard-request.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
};

const INDEX = 'index.html';

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

interface PageFile {
  readonly type: string;
  readonly body: Uint8Array;
  /** Once it was asked for. Compressing takes some 0.3 s, on a thread beside the event loop. */
  brotli: Promise<Uint8Array> | undefined;
  readonly tag: string;
}

const compress = promisify(brotliCompress);
/** The build puts a hash of the text into the name. */
const HASHED = /-[A-Z0-9]{8}\.\w+$/;
const FOREVER = 'private, max-age=31536000, immutable';

export class PageFiles {
  readonly #folder: string;
  #files: Promise<ReadonlyMap<string, PageFile>> | undefined;

  /** `folder`: for tests. */
  constructor(folder: string = fileURLToPath(new URL('../dashboard/page', import.meta.url))) {
    this.#folder = folder;
  }

  /** `path`: with any prefix. */
  async serve({ path, header }: DashboardRequest): Promise<DashboardReply> {
    const last = path.slice(path.lastIndexOf('/') + 1);
    const files = await (this.#files ??= readFiles(this.#folder).catch(() => new Map()));
    const file = files.get(last === '' ? INDEX : last);
    if (file === undefined) {
      if (last === '' || !files.has(INDEX))
        return failed(404, 'page', 'This build of sojourn has no page: run npm run build');
      return isFolder(last) ? toFolder(last) : failed(404, 'unknown', 'Not found');
    }
    const lasts = HASHED.test(last) ? FOREVER : 'no-cache';
    const headers = { 'Content-Type': file.type, ETag: file.tag, 'Cache-Control': lasts, Vary: 'Accept-Encoding' };
    if (header('if-none-match') === file.tag) return { status: 304, headers };
    if (!/\bbr\b/.test(header('accept-encoding') ?? '')) return { status: 200, headers, body: file.body };
    const body = await (file.brotli ??= compress(file.body));
    return { status: 200, headers: { ...headers, 'Content-Encoding': 'br' }, body };
  }
}

/** The addresses of the page are relative to its folder. The fragment, which has the token, stays. */
const toFolder = (name: string): DashboardReply => ({
  status: 307,
  // `./` keeps a name with a colon from being a scheme.
  headers: { Location: `./${name}/`, 'Cache-Control': 'no-store' },
});

/** A prefix is the last part of the path when the slash at its end is missing. */
const isFolder = (name: string): boolean => /^[\w-]{1,64}$/.test(name);

async function readFiles(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const files = new Map<string, PageFile>();
  for (const name of await readdir(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = await readFile(`${folder}/${name}`);
    files.set(name, {
      type,
      body,
      brotli: undefined,
      tag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    });
  }
  return files;
}
