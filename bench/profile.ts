import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { findLoadClient } from './load-client.ts';
import { type CpuProfile, formatProfile } from './profile-report.ts';
import { findRuntime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';
import { startStore } from './store-servers.ts';
import { works } from './works.ts';

// npx tsx bench/profile.ts: where one side of a work spends its CPU time under load.

const usage = `npx tsx bench/profile.ts [options]

  --work WORK       stateful, log, durable, durable-redis, …, initialize, modern (stateful)
  --side SIDE       ours, official, log, no-log (the first of the work)
  --node 20|24|PATH Node.js that runs the server (the running one)
  --duration S      seconds under the profiler (5)
  --interval US     µs between samples (100)
  --top N           functions shown (40)
  --out FILE        also write the .cpuprofile, for Chrome's developer tools
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      work: { type: 'string', default: 'stateful' },
      side: { type: 'string' },
      node: { type: 'string', default: process.execPath },
      duration: { type: 'string', default: '5' },
      interval: { type: 'string', default: '100' },
      top: { type: 'string', default: '40' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(usage);
  const work = works.find(({ id }) => id === values.work);
  const side = work?.sides.find(({ id }) => values.side === undefined || id === values.side);
  if (work === undefined || side === undefined || side.repeats !== undefined)
    throw new Error(`no such work or side\n\n${usage}`);

  const runtime = findRuntime(values.node);
  const client = findLoadClient();
  const store = work.store === undefined ? undefined : await startStore(work.store);
  const server = await ServerProcess.start(runtime, {
    ...side.server,
    env: { ...side.server.env, ...(store && { BENCH_STORE: store.url }) },
  });
  try {
    const load = await work.load(server.port);
    const options = { connections: 16, durationS: Number(values.duration) };
    await client.run(load, { ...options, durationS: 2 });
    const before = await server.cpuTime();
    await server.ask('profileStart', { intervalUs: Number(values.interval) });
    const { requests } = await client.run(load, options);
    const profile = await server.ask<CpuProfile>('profileStop');
    const after = await server.cpuTime();
    if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(profile));
    const cpuUs = after.user - before.user + after.system - before.system;
    console.log(
      `${work.title}: ${side.title} · Node ${runtime.version} · ${String(requests)} requests, ${(cpuUs / requests).toFixed(1)} CPU µs each with the profiler on\n`,
    );
    console.log(formatProfile(profile, requests, Number(values.top)));
  } finally {
    await server.stop();
    await store?.close();
  }
}

await main();
