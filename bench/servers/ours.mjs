import { moveMember } from './moved-member.mjs';
import { serve } from './serve.mjs';

// BENCH_OPTIONS: endpoint options as JSON; BENCH_DIST: another build of the package, to compare two. BENCH_MAKING:
// `plain`, a factory that does not pass `ctx.serverOptions` on; `one`, one server for all sessions. BENCH_DASHBOARD: the
// token of a dashboard at /dashboard. BENCH_ROUTED: the handler that looks for /dashboard, without one. BENCH_MOVED: a
// private member of the SDK that has another name.
if (process.env.BENCH_MOVED) moveMember(process.env.BENCH_MOVED);
const { buildEchoServer } = await import('./echo-server.mjs');
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

const making = {
  plain: () => () => buildEchoServer(),
  one: () => buildEchoServer(),
};
const made = making[process.env.BENCH_MAKING]?.() ?? buildEchoServer;

const endpoint = createMcpEndpoint(made, options);
const token = process.env.BENCH_DASHBOARD;
const dashboard = token && endpoint.dashboard({ token });
serve(
  dashboard || process.env.BENCH_ROUTED
    ? (req, res) => (req.url.startsWith('/dashboard') ? (dashboard ?? endpoint) : endpoint).node(req, res)
    : endpoint.node,
);
