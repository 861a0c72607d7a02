/**
 * `npm run collector`: builds a collector of OpenTelemetry with Go (`test/otel/collector`) in `tools/collector`, starts
 * it and two instances that export to it, and checks what it gets: `test/otel/collector.test.ts`. The first build takes
 * two minutes.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureTools } from './ensure-tools.mjs';
import { root, run, runOrReject } from './steps.mjs';

const folder = join(root, 'tools/collector');
mkdirSync(folder, { recursive: true });
await ensureTools('tools/otel-2');
const build = ['build', '-mod=readonly', '-o', join(folder, 'collector'), '.'];
await runOrReject('go', build, join(root, 'test/otel/collector'));
const { code, output } = await run('vitest', ['run', 'test/otel/collector.test.ts']);
console.log(output);
process.exitCode = code;
