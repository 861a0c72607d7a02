import autocannon from 'autocannon';

// The load client where wrk is missing: a separate process with prepared bodies. Ids are distinct per connection.
const { load, connections, durationS, preparedBodies } = JSON.parse(process.argv[2]);
const perClient = Math.ceil(preparedBodies / connections);
let client = 0;

const result = await autocannon({
  url: `http://127.0.0.1:${load.port}${load.path}`,
  connections,
  duration: durationS,
  timeout: 20,
  setupClient(connection) {
    const first = client++ * perClient;
    connection.setRequests(
      Array.from({ length: perClient }, (_, index) => ({
        method: 'POST',
        path: load.path,
        headers: load.headers,
        body: load.before + (first + index + 1) + load.after,
      })),
    );
  },
});

const cpu = process.cpuUsage();
process.stdout.write(
  JSON.stringify({
    requests: result['2xx'],
    durationUs: Math.round(result.duration * 1e6),
    failures: result.non2xx + result.errors + result.timeouts,
    p50Us: result.latency.p50 * 1000,
    p99Us: result.latency.p99 * 1000,
    clientCpuUs: cpu.user + cpu.system,
  }),
);
