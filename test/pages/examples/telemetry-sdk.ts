/** `otel.mjs` of examples/telemetry, placed where its import finds `@opentelemetry/sdk-node`. */
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onTestFinished } from 'vitest';
import { installed } from '../../installs/installed.ts';

const FILE = join(import.meta.dirname, '../../../examples/telemetry/otel.mjs');

/** The flags of Node that register the SDK. */
export function sdkNode(): string[] {
  const copy = join(
    installed('otel-2'),
    'node_modules',
    `otel-${process.pid}-${performance.now()}.mjs`,
  );
  copyFileSync(FILE, copy);
  onTestFinished(() => rmSync(copy));
  return ['--import', pathToFileURL(copy).href];
}
