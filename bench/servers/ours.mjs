import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// BENCH_OPTIONS: endpoint options as JSON; BENCH_DIST: another build of the package, to compare two.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

serve(createMcpEndpoint(buildEchoServer, options).node);
