import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// Like ours.mjs, with its sessions in a store. BENCH_STORE: its URL; BENCH_SYNCHRONOUS: `normal` or `full` (SQLite).
const dist = process.env.BENCH_DIST ?? new URL('../../dist/index.js', import.meta.url).href;
const { createMcpEndpoint } = await import(dist);
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

const url = process.env.BENCH_STORE ?? '';
const kind = url.slice(0, url.indexOf(':'));
const { [kind]: open } = await import(join(dirname(dist), `stores/${kind}/index.js`));
const synchronous = process.env.BENCH_SYNCHRONOUS ?? 'normal';
const store = kind === 'sqlite' ? open({ path: url.slice('sqlite:'.length), synchronous }) : open(url);
// Sides share a store's server, so each has its own name.
const name = randomBytes(9).toString('base64url');

serve(createMcpEndpoint(buildEchoServer, { ...options, name, store }).node);
