import { ServerResponse } from 'node:http';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// Sessions with open GET streams. Keep-alives start only on demand, so that they affect no other measurement.
const { createMcpEndpoint } = await import(process.env.BENCH_DIST ?? '../../dist/index.js');

const keepAliveMs = 3_000;
const tickMs = keepAliveMs / 15;
let ticking = false;
let heldTick;
let comments = 0;
let ticks = [];

const timeProvider = {
  now: Date.now,
  monotonic: () => performance.now(),
  setTimeout(fn, ms) {
    if (ms !== tickMs) return setTimeout(() => fn(), ms).unref();
    if (ticking) return setTimeout(() => tick(fn), ms).unref();
    heldTick = fn;
    return undefined;
  },
  clearTimeout,
};

function tick(fn) {
  const { write } = ServerResponse.prototype;
  comments = 0;
  ServerResponse.prototype.write = function (chunk) {
    comments += 1;
    return write.call(this, chunk);
  };
  const before = performance.now();
  fn();
  ServerResponse.prototype.write = write;
  const one = { comments, ms: 0 };
  ticks.push(one);
  // The bytes that it wrote are sent directly after it.
  setImmediate(() => (one.ms = performance.now() - before));
}

const endpoint = createMcpEndpoint(buildEchoServer, { maxIdleSessionCount: 10_000_000, keepAliveMs, timeProvider });

serve(endpoint.node, {
  /** Returns the time of sending, by the clock that all processes of the machine share. */
  broadcast() {
    const at = Number(process.hrtime.bigint());
    endpoint.notify.toolsChanged();
    return { at };
  },
  startKeepAlives() {
    ticking = true;
    ticks = [];
    heldTick?.();
    heldTick = undefined;
    return { keepAliveMs };
  },
  stopKeepAlives() {
    ticking = false;
    return { ticks };
  },
});
