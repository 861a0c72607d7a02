import { parseArgs } from 'node:util';
import { type Language, LANGUAGES } from './clients/other-actor.ts';
import { PACES, type PaceName } from './clients/paced-callers.ts';
import { STORES, type StoreKind } from './backing-store.ts';

const SCENARIOS = ['faults', 'outage', 'rolling', 'patience'] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** How the instances of faults, outage and rolling make their servers. */
const SERVERS = ['factory', 'definition'] as const;
export type Servers = (typeof SERVERS)[number];

export interface ChaosArguments {
  readonly help: boolean;
  readonly stores: readonly StoreKind[];
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  readonly kills: number;
  readonly stops: number;
  readonly leaseMs: Readonly<Record<Scenario, number>>;
  readonly size: number;
  /** `undefined`: the default of the scenario. */
  readonly awayMs: number | undefined;
  readonly rounds: number;
  readonly servers: Servers;
  readonly paces: readonly PaceName[];
  /** Whose clients take part. */
  readonly languages: readonly Language[];
  readonly logs: string | undefined;
  readonly json: boolean;
}

const FULL = { kills: 100, stops: 30 };

export const usage = `npm run chaos -- --store all [options]

  --store LIST      of ${STORES.join(',')}; or all (sqlite)
  --scenario LIST   of ${SCENARIOS.join(',')}; or all (all)
  --seed N          the order of faults and the clients' choices follow from it (1)
  --kills N         SIGKILLs of the scenario faults (${FULL.kills}); drains, store restarts and the rest follow from it
  --stops N         SIGSTOPs past the lease (${FULL.stops})
  --lease-ms N      leaseMs of the instances (1000 in the scenario faults, else the default of 3000)
  --size N          clients, times twelve (1)
  --away-ms N       how long the store is away in the scenario outage (10000)
  --rounds N        how often all instances are replaced in the scenario rolling (10)
  --servers KIND    factory: a server for each session; definition: one for all, in faults, outage and rolling (factory)
  --pace LIST       when official clients call in the scenario patience: after-answer (20 ms after each answer), steady
                    (every 40 ms, whatever is still running), or all (all)
  --clients LIST    clients in other languages: besides the others in the scenarios faults, outage and rolling, alone in
                    patience; of ${LANGUAGES.join(',')}
  --logs FOLDER     keep what the instances log there, with debug lines, and the effects file
  --json            print JSON, with what befell which instance when
`;

export function parseArguments(argv: readonly string[]): ChaosArguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      store: { type: 'string', default: 'sqlite' },
      scenario: { type: 'string', default: 'all' },
      seed: { type: 'string', default: '1' },
      kills: { type: 'string', default: String(FULL.kills) },
      stops: { type: 'string', default: String(FULL.stops) },
      'lease-ms': { type: 'string' },
      size: { type: 'string', default: '1' },
      'away-ms': { type: 'string' },
      rounds: { type: 'string', default: '10' },
      servers: { type: 'string', default: 'factory' },
      pace: { type: 'string', default: 'all' },
      clients: { type: 'string', default: '' },
      logs: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    help: values.help,
    stores: listed('store', values.store, STORES),
    scenarios: listed('scenario', values.scenario, SCENARIOS),
    seed: count('seed', values.seed),
    kills: count('kills', values.kills),
    stops: count('stops', values.stops),
    leaseMs: leases(values['lease-ms']),
    size: Number(values.size),
    awayMs: values['away-ms'] === undefined ? undefined : count('away-ms', values['away-ms']),
    rounds: count('rounds', values.rounds),
    servers: one('servers', values.servers, SERVERS),
    paces: listed('pace', values.pace, PACES),
    languages: values.clients === '' ? [] : listed('clients', values.clients, LANGUAGES),
    logs: values.logs,
    json: values.json,
  };
}

/** What freezes and waits for leases is sooner done with short ones; what must not fail needs no haste. */
function leases(given: string | undefined): ChaosArguments['leaseMs'] {
  if (given === undefined) return { faults: 1_000, outage: 3_000, rolling: 3_000, patience: 3_000 };
  const ms = count('lease-ms', given);
  return { faults: ms, outage: ms, rolling: ms, patience: ms };
}

function listed<T extends string>(name: string, value: string, all: readonly T[]): readonly T[] {
  if (value === 'all') return all;
  return value.split(',').map((given) => one(name, given, all));
}

function one<T extends string>(name: string, given: string, all: readonly T[]): T {
  const found = all.find((known) => known === given);
  if (found === undefined) throw new Error(`--${name} takes ${all.join(', ')}, got ${given}`);
  return found;
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new Error(`--${name} takes a whole number, got ${value}`);
  return number;
}
