/**
 * `docs/internals/timings.md`: each time on the page is the one in the source, and no time that clients notice is
 * missing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SERVE_FLAGS } from '../../src/cli/option-flags.ts';
import { DEFAULTS } from '../../src/options/table.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const page = read('docs/internals/timings.md');

/** `| timing | where | value | reason |` */
const rows = [...page.matchAll(/^\| (?!timing|-)(.+?) +\| (.+?) +\| +([\d,–]+|Infinity) \| (.+?) +\|$/gm)].map(
  ([, timing = '', where = '', value = '', reason = '']) => ({ timing, where, value, reason }),
);
const numberOf = (value: string): number => Number(value.replaceAll(',', ''));
const optionRows = rows.flatMap(({ where, value }) => {
  const name = /^\[`([\w.]+)`\]/.exec(where)?.[1];
  return name === undefined ? [] : [{ name, ms: numberOf(value) }];
});
const constantRows = rows.flatMap(({ where, value }) => {
  const [, file, name] = /^`(src\/[\w./-]+)` `(\w+)`$/.exec(where) ?? [];
  return file === undefined || name === undefined ? [] : [{ file, name, ms: numberOf(value) }];
});

/** Files whose times no client notices: between instances and stores, or of the command line's own processes. */
const UNNOTICED = /^src\/(stores|cli|testing|auth|sealed|limits|options|base|dashboard)\//;
const UNNOTICED_NAMES: Readonly<Record<string, readonly string[]>> = {
  // Between instances: acknowledgements and probes.
  'src/cluster/instance-link.ts': ['ACK_MS', 'FIRST_PROBE_MS', 'QUICK_PROBE_MS'],
  'src/cluster/instance.ts': ['FLUSH_MS'],
  // How long markers are kept, how often the log says the same.
  'src/session/calls/markers.ts': ['LEFT_MS'],
  'src/session/ownership/lost-records.ts': ['PAUSE_MS'],
  'src/endpoint/outage.ts': ['QUIET_MS'],
  'src/endpoint/store-health.ts': ['FAILING_MS'],
  // Parts of one attempt to agree on an owner; the request waits on after them.
  'src/eras/legacy/router.ts': ['PAUSE_MS', 'LONGEST_PAUSE_MS'],
  // How often something is looked at.
  'src/http/slow-readers.ts': ['LOOK_MS'],
  'src/http/stream-expiry.ts': ['LONGEST_MS'],
  'src/listen/listen.ts': ['CHECK_MS'],
  'src/listen/descriptors.ts': ['EVERY_MS'],
  'src/listen/listening-socket.ts': ['POLL_MS', 'TURN_MS', 'LAST_MS'],
  // How often the log has a line.
  'src/endpoint/caller-checks.ts': ['NO_SUBJECT_MS'],
  'src/observe/second-counts.ts': ['WINDOW_MS'],
  'src/endpoint/shutdown.ts': ['DRAIN_POLL_MS'],
  'src/endpoint/core-loader.ts': ['FIRST_PAUSE_MS', 'LONGEST_PAUSE_MS'],
  'src/endpoint/request-state-keys.ts': ['DAY_MS'],
};

const constantsIn = (file: string): string[] =>
  [...read(file).matchAll(/^(?:export )?const (\w*_MS) = [\d_]+;/gm)].map(([, name = '']) => name);

describe('the timings page', () => {
  test('has rows of both kinds, each with a reason', () => {
    expect(optionRows.length).toBeGreaterThan(7);
    expect(constantRows.length).toBeGreaterThan(10);
    expect(rows.filter(({ reason }) => reason.length < 20)).toEqual([]);
    // A handler has no limit.
    expect(rows.length).toBe(optionRows.length + constantRows.length + 1);
  });

  test.each(optionRows)('tells the default of $name', ({ name, ms }) => {
    const value = name.split('.').reduce<unknown>((of, key) => Reflect.get(Object(of), key), DEFAULTS);
    expect(value).toBe(ms);
  });

  test.each(constantRows)('tells $name of $file', ({ file, name, ms }) => {
    const value = new RegExp(`^(?:export )?const ${name} = ([\\d_]+);`, 'm').exec(read(file))?.[1];
    expect(Number(value?.replaceAll('_', ''))).toBe(ms);
  });

  test('has every option in ms', () => {
    const names = Object.keys(DEFAULTS).filter((name) => name.endsWith('Ms') && name !== 'hibernateAfterMs');
    const told = optionRows.map(({ name }) => name);
    expect(names.filter((name) => !told.includes(name))).toEqual([]);
    expect(numberOf(rows.find(({ where }) => where.endsWith('`DRAIN_TIMEOUT_MS`'))?.value ?? '')).toBe(
      SERVE_FLAGS.drainTimeoutMs.fallback,
    );
  });

  test('has every constant in ms that clients can notice', () => {
    const files = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
      .map((path) => `src/${path}`)
      .filter((path) => path.endsWith('.ts') && !UNNOTICED.test(path));
    const told = new Set(constantRows.map(({ file, name }) => `${file} ${name}`));
    const missing = files.flatMap((file) =>
      constantsIn(file)
        .filter((name) => !told.has(`${file} ${name}`) && UNNOTICED_NAMES[file]?.includes(name) !== true)
        .map((name) => `${file} ${name}`),
    );
    expect(missing).toEqual([]);
    const gone = Object.entries(UNNOTICED_NAMES).flatMap(([file, names]) =>
      names
        .filter((name) => !files.includes(file) || !constantsIn(file).includes(name))
        .map((name) => `${file} ${name}`),
    );
    expect(gone).toEqual([]);
  });
});
