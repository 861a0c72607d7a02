import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// BENCH_OPTIONS: endpoint options as JSON; BENCH_DIST: another build of the package, to compare two; BENCH_PLAIN: a factory
// that does not pass `ctx.serverOptions` on.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

const factory = process.env.BENCH_PLAIN === undefined ? buildEchoServer : () => buildEchoServer();

serve(createMcpEndpoint(factory, options).node);
