import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// As ours.mjs, with its sessions in a file. BENCH_FOLDER: where; BENCH_SYNCHRONOUS: `normal` or `full`.
const dist = process.env.BENCH_DIST ?? new URL('../../dist/index.js', import.meta.url).href;
const { createMcpEndpoint } = await import(dist);
const { sqlite } = await import(join(dirname(dist), 'stores/sqlite/index.js'));
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'bench-sqlite-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const store = sqlite({ path: join(folder, 'sessions.db'), synchronous: process.env.BENCH_SYNCHRONOUS ?? 'normal' });

serve(createMcpEndpoint(buildEchoServer, { ...options, store }).node);
