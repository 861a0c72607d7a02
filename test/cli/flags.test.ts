import { describe, expect, test } from 'vitest';
import { ALL_FLAGS, OPTION_FLAGS, defaultOf, flagName, variableName } from '../../src/cli/flags.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';
import { OPTION_NAMES, resolveOptions } from '../../src/base/options/resolve.ts';
import { settingsOf } from './here.ts';

const members = (group: 'limits' | 'eventRetention') =>
  Object.keys(DEFAULTS[group]).map((name) => `${group}.${name}`);

/** Of every kind of flag, a text that the option behind it takes. */
const SAMPLES: Readonly<Record<string, string>> = {
  sessionMode: 'stateful',
  responseMode: 'json',
  lostCalls: 'result',
  deployment: 'orders',
  supportedProtocolVersions: '2025-06-18',
  secrets: 'k'.repeat(32),
  allowedHosts: 'mcp.example',
  allowedOrigins: 'https://app.example',
  relayedHeaders: 'x-tenant',
  trustedProxies: '10.0.0.0/8',
  sharedLists: 'tools',
  'limits.storeBytes': '1048576',
  'limits.memoryBytes': '100000',
  'limits.userShare': '0.25',
};

describe('the flags', () => {
  test('every option has one but those that are functions or objects, and no flag is without option', () => {
    const moduleOnly =
      'auth bus configureSessionOptions events limits logger middleware observe onerror runSessionHandler use ' +
      'sessionIdGenerator sessionMigrationHandler sessionUser timeProvider';
    const options = OPTION_NAMES.filter(
      (name) => name !== 'metrics' && !moduleOnly.split(' ').includes(name),
    );
    const flags = [...options, ...members('limits'), ...members('eventRetention')];
    expect(Object.keys(OPTION_FLAGS).sort()).toEqual(flags.sort());
  });

  const given = Object.entries(OPTION_FLAGS).flatMap(([key, { kind }]) => {
    if (key === 'store') return [];
    // Event retention that is switched on is an object (settings.test.ts).
    const switched = key === 'eventRetention' ? ['false'] : ['true', 'false'];
    const samples = kind === 'switch' ? switched : [SAMPLES[key] ?? '177'];
    return samples.map((sample) => [key, kind, sample] as const);
  });
  test.each(given)(
    '%s reaches its option from the flag and the environment: a %s, %s',
    async (key, kind, sample) => {
      const value =
        kind === 'switch'
          ? sample === 'true'
          : kind === 'number'
            ? Number(sample)
            : kind === 'list'
              ? [sample]
              : sample;
      const [name = '', member] = key.split('.');
      const expected = { [name]: member === undefined ? value : { [member]: value } };
      const flag = `--${value === false ? 'no-' : ''}${flagName(key)}`;
      const fromFlag = await settingsOf([kind === 'switch' ? flag : `${flag}=${sample}`]);
      const fromEnvironment = await settingsOf([], { [variableName(key)]: sample });
      expect(fromFlag.options).toEqual(expected);
      expect(fromEnvironment.options).toEqual(expected);
      expect(() => resolveOptions(fromFlag.options)).not.toThrow();
      expect([fromFlag.origin(key), fromEnvironment.origin(key)]).toEqual([
        flag,
        variableName(key),
      ]);
    },
  );

  test.each<[string, string | undefined]>([
    ['idleTimeoutMs', String(DEFAULTS.idleTimeoutMs)],
    ['limits.bodyBytes', '4194304'],
    ['limits.sessions', String(DEFAULTS.limits.sessions)],
    ['hibernateAfterMs', 'never'],
    ['eventRetention.events', '10000'],
    ['legacySse', 'off'],
    ['secrets', 'store'],
    ['port', '3000'],
  ])('help tells the default of %s that the endpoint uses', (flag, told) => {
    expect(defaultOf(ALL_FLAGS.get(flag)!)).toBe(told);
  });
});
